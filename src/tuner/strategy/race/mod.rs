//! The default strategy: screen once, race the promising in pairs, confirm the best against the default.
//!
//! Exhaustive tuning gives a hopeless config as many runs as a good one and trusts a mean of ten. Here a
//! run is spent where it can change the choice:
//!
//! 1. **Screen** one arm of every family at a few anchor batch sizes; elsewhere only what won nearby, the
//!    incumbents and a random share.
//! 2. **Race** the best: blocks of one run each in random order on one routing. An arm is dropped only
//!    where the interval of its paired log-ratio excludes zero and it trails by more than 1 %.
//! 3. **Widen**: the survivors' families (GROUP_SIZE_M) and neighbours join, until the leader stays.
//! 4. **Confirm** the best three whole choices against the default: at least 200 pairs, fresh seeds, every
//!    fourth round skewed. The default stays unless it is beaten by more than the margin.

mod candidates;
mod confirm;
mod field;
mod learnt;
mod options;
mod screen;

use std::collections::HashSet;
use std::sync::Arc;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub use self::options::Options;

use self::candidates::{Candidates, ranked_by_whole, spokesmen};
use self::confirm::Confirm;
use self::field::Field;
use self::learnt::Learnt;
use self::screen::Screen;
use super::paired::Level;
use super::{Choice, Decision, Entrant, Heard, Problem, Round, Routing, Strategy};

/// Batch sizes at which the whole space is screened.
const ANCHORS: [u32; 5] = [1, 16, 64, 512, 4096];
/// Routings a race takes turns with, and the first seed of a confirmation's.
const RACE_SEEDS: u32 = 5;
const CONFIRM_SEED: u32 = 1000;

/// One arm in this many, and no fewer than these, get a second look.
const SECOND_LOOK_SHARE: usize = 40;
const SECOND_LOOK_LEAST: usize = 64;
/// A survivor's neighbour this many times slower stays out. One run said so, and one run can be disturbed.
const HOPELESS: f64 = 2.0;
/// Blocks of a race's first round: the fewest an interval means anything for.
const FIRST_BLOCKS: usize = 5;
/// Blocks of each round after it.
const MORE_BLOCKS: usize = 3;
/// Blocks of each round of a confirmation.
const CONFIRM_BLOCKS: usize = 20;

/// Screen, race, widen, confirm.
#[derive(Debug)]
pub struct Race {
    problem: Arc<Problem>,
    options: Options,
    race_level: Level,
    confirm_level: Level,
    rng: ChaCha8Rng,
    /// Contests still to decide, the next one last.
    waiting: Vec<usize>,
    anchors: HashSet<usize>,
    current: Option<Current>,
    ended: Vec<Option<Ended>>,
}

/// The contest under way.
#[derive(Debug)]
struct Current {
    contest: usize,
    stage: Stage,
    screen: Screen,
    /// What the screening said of each arm, by slot: the logarithm of microseconds.
    scores: Vec<Vec<Option<f64>>>,
    field: Field,
    dead: HashSet<(usize, usize)>,
    widened: usize,
    /// Blocks since arms joined, and rounds since one was dropped.
    blocks: usize,
    quiet: usize,
    /// The leader when the neighbours joined last.
    leader: Option<Choice>,
}

#[derive(Debug)]
enum Stage {
    Screen,
    Race,
    Confirm(Confirm),
}

/// A contest that is over.
#[derive(Debug)]
struct Ended {
    decision: Option<Decision>,
    learnt: Learnt,
}

impl Race {
    /// Decide every contest of `problem`; equal seeds ask equal questions.
    pub fn new(problem: Arc<Problem>, options: Options, seed: u64) -> Self {
        let anchors: HashSet<usize> = ANCHORS
            .iter()
            .filter_map(|anchor| {
                let distance = |at: &usize| problem.contests[*at].key.abs_diff(*anchor);
                (0..problem.contests.len()).min_by_key(distance)
            })
            .collect();
        let mut waiting: Vec<usize> = (0..problem.contests.len()).collect();
        waiting.sort_by_key(|at| (anchors.contains(at), std::cmp::Reverse(*at)));
        Self {
            options,
            race_level: Level::missing(options.race_miss),
            confirm_level: Level::missing(options.confirm_miss),
            rng: ChaCha8Rng::seed_from_u64(seed),
            waiting,
            anchors,
            current: None,
            ended: problem.contests.iter().map(|_| None).collect(),
            problem,
        }
    }

    fn begin(&mut self, contest: usize) -> Current {
        let candidates =
            if self.anchors.contains(&contest) { self.everything(contest) } else { self.inherited(contest) };
        let data = &self.problem.contests[contest];
        Current {
            contest,
            stage: Stage::Screen,
            screen: Screen::new(data, candidates),
            scores: data.slots.iter().map(|slot| vec![None; slot.arms.len()]).collect(),
            field: Field::new(data, &[]),
            dead: HashSet::new(),
            widened: 0,
            blocks: 0,
            quiet: 0,
            leader: None,
        }
    }

    /// One arm of every family and every incumbent, best prior first.
    fn everything(&mut self, contest: usize) -> Vec<(usize, usize)> {
        let families = self.families(contest);
        let data = &self.problem.contests[contest];
        let mut listed = Candidates::with_incumbents(data);
        for arm in families {
            listed.add(arm);
        }
        listed.order
    }

    /// What won nearby, the incumbents and a random share.
    fn inherited(&mut self, contest: usize) -> Vec<(usize, usize)> {
        let mut families = self.families(contest);
        families.shuffle(&mut self.rng);
        let data = &self.problem.contests[contest];
        let mut listed = Candidates::with_incumbents(data);
        let near = self.learnt_near(contest);
        for arm in near.iter().flat_map(|learnt| learnt.best_in(data)) {
            listed.add(arm);
        }
        let foretold = learnt::foretold(data, &near);
        for (arm, _) in ranked_by_whole(data, &foretold).into_iter().take(self.options.foretold) {
            listed.add(arm);
        }
        let share = (families.len() as f64 * self.options.random_share).ceil() as usize;
        for arm in families.into_iter().take(share) {
            listed.add(arm);
        }
        listed.order
    }

    /// One arm of every family of every slot, best prior first, those without in random order.
    fn families(&mut self, contest: usize) -> Vec<(usize, usize)> {
        let mut families = spokesmen(&self.problem.contests[contest]);
        families.shuffle(&mut self.rng);
        families.sort_by(|a, b| a.2.total_cmp(&b.2));
        families.into_iter().map(|(slot, arm, _)| (slot, arm)).collect()
    }

    /// The nearest contests that are over, one on each side.
    fn neighbours(&self, contest: usize) -> impl Iterator<Item = usize> + '_ {
        let below = (0..contest).rev().find(|&at| self.ended[at].is_some());
        let above = (contest + 1..self.ended.len()).find(|&at| self.ended[at].is_some());
        below.into_iter().chain(above)
    }

    /// What the nearest contests that are over have taught, the lower one first.
    fn learnt_near(&self, contest: usize) -> Vec<&Learnt> {
        self.neighbours(contest).filter_map(|at| Some(&self.ended[at].as_ref()?.learnt)).collect()
    }

    /// The next round of the contest under way; none where it has come to its end.
    fn step(&mut self, current: &mut Current) -> Option<Round> {
        loop {
            match &mut current.stage {
                Stage::Screen => {
                    if let Some(round) = current.screen.next(current.contest, &mut self.rng) {
                        return Some(round);
                    }
                    self.after_screening(current);
                }
                Stage::Race => {
                    if let Some(round) = self.race_round(current) {
                        return Some(round);
                    }
                    let data = &self.problem.contests[current.contest];
                    let rivals = self.rivals(current);
                    let preferred = self.neighbours_choice(current.contest);
                    let default = data.default.clone().filter(|choice| {
                        choice.iter().enumerate().all(|(slot, &arm)| !current.dead.contains(&(slot, arm)))
                    });
                    current.stage = Stage::Confirm(Confirm::new(default, rivals, preferred));
                }
                Stage::Confirm(confirm) => {
                    if confirm.blocks() >= self.options.pairs || !confirm.is_contested() {
                        return None;
                    }
                    let round = (confirm.blocks() / CONFIRM_BLOCKS) as u32;
                    let routing = Routing { skewed: round % 4 == 3, seed: CONFIRM_SEED + round };
                    let order = |entrants| Round::shuffled_blocks(entrants, CONFIRM_BLOCKS, &mut self.rng);
                    return Some(confirm.next(current.contest, routing, order));
                }
            }
        }
    }

    /// Look again at the best of the first pass, or let the best of the second into the race.
    fn after_screening(&mut self, current: &mut Current) {
        let data = &self.problem.contests[current.contest];
        current.scores = current.screen.scores();
        let ranked = ranked_by_whole(data, &current.scores);
        if !current.screen.is_second() {
            let within = (1.0 + self.options.second_look_within).ln();
            let mut listed = Candidates::with_incumbents(data);
            for arm in current.screen.references() {
                listed.add(arm);
            }
            // The leader of single runs can be a mistake: some are looked at however far behind they are.
            let most = (ranked.len() / SECOND_LOOK_SHARE).max(SECOND_LOOK_LEAST);
            for (at, (arm, ratio)) in ranked.iter().take(most).enumerate() {
                if at < SECOND_LOOK_LEAST || *ratio <= within {
                    listed.add(*arm);
                }
                if at < self.options.whole_families {
                    let (slot, family) = (arm.0, data.arm(arm.0, arm.1).family);
                    let arms = data.slots[slot].arms.iter().enumerate();
                    for (sibling, _) in arms.filter(|(_, it)| it.family == family) {
                        listed.add((slot, sibling));
                    }
                }
            }
            listed.order.retain(|arm| !current.dead.contains(arm));
            current.screen.look_again(listed.order);
            return;
        }
        let within = (1.0 + self.options.race_within).ln();
        let mut arms: Vec<_> =
            ranked.iter().take(self.options.field).filter(|it| it.1 <= within).map(|it| it.0).collect();
        for arm in Candidates::with_incumbents(data).order {
            if !current.dead.contains(&arm) && !arms.contains(&arm) {
                arms.push(arm);
            }
        }
        current.field = Field::new(data, &arms);
        current.stage = Stage::Race;
    }

    /// The next round of the race, after judging the last; none where the race is run.
    fn race_round(&mut self, current: &mut Current) -> Option<Round> {
        let data = &self.problem.contests[current.contest];
        if current.field.blocks() > 0 {
            let dropped = current.field.drop_losers(&self.race_level, (1.0 + self.options.deficit).ln());
            current.quiet = if dropped == 0 { current.quiet + 1 } else { 0 };
        }
        let done = current.blocks >= self.options.blocks
            || (current.quiet >= 2 && current.blocks >= self.options.blocks / 2)
            || (current.blocks > 0 && current.field.alive() <= data.slots.len());
        if done && !self.widen(current) {
            return None;
        }
        let entrants = current.field.entrants();
        if entrants.is_empty() {
            return None;
        }
        let blocks = if current.blocks == 0 { FIRST_BLOCKS } else { MORE_BLOCKS };
        let order = Round::shuffled_blocks(entrants.len(), blocks, &mut self.rng);
        // By rounds, not blocks: the arms of a round share their routing.
        let seed = self.rng.random_range(0..RACE_SEEDS);
        current.blocks += blocks;
        Some(Round {
            contest: current.contest,
            routing: Routing { skewed: false, seed },
            entrants,
            order,
            warm_up: true,
            abort_above_us: None,
        })
    }

    /// Let the survivors' families and neighbours join; whether any did.
    fn widen(&self, current: &mut Current) -> bool {
        let data = &self.problem.contests[current.contest];
        let leaders = current.field.ranked(2);
        if current.widened >= self.options.widenings || current.leader == leaders.first().cloned() {
            return false;
        }
        current.leader = leaders.first().cloned();
        let hopeless = |slot: usize, arm: usize, best: usize| match (
            current.scores[slot][arm],
            current.scores[slot][best],
        ) {
            (Some(arm), Some(best)) => arm - best > HOPELESS.ln(),
            _ => false,
        };
        let mut joining = Vec::new();
        for leader in &leaders {
            for (slot, &best) in leader.iter().enumerate() {
                let of = data.arm(slot, best);
                for (index, arm) in data.slots[slot].arms.iter().enumerate() {
                    let related = arm.link == of.link && (arm.family == of.family || arm.is_neighbour(of));
                    let known = current.field.has(slot, index) || current.dead.contains(&(slot, index));
                    if related && !known && !hopeless(slot, index, best) {
                        joining.push((slot, index));
                    }
                }
            }
        }
        joining.sort_unstable();
        joining.dedup();
        for &(slot, arm) in joining.iter().take(self.options.field) {
            current.field.join(data, slot, arm);
        }
        current.widened += 1;
        (current.blocks, current.quiet) = (0, 0);
        !joining.is_empty()
    }

    /// The whole choices to confirm: the best, and what the neighbours chose if it still runs along.
    fn rivals(&self, current: &Current) -> Vec<Choice> {
        let mut rivals = current.field.ranked(self.options.rivals);
        let survivors = current.field.survivors();
        let alive =
            |choice: &Choice| choice.iter().enumerate().all(|(slot, &arm)| survivors.contains(&(slot, arm)));
        if let Some(preferred) = self.neighbours_choice(current.contest).filter(alive)
            && !rivals.contains(&preferred)
        {
            rivals.truncate(self.options.rivals.saturating_sub(1));
            rivals.push(preferred);
        }
        rivals
    }

    /// What a neighbour chose, in this contest's terms.
    fn neighbours_choice(&self, contest: usize) -> Option<Choice> {
        self.neighbours(contest).find_map(|neighbour| {
            let decision = self.ended[neighbour].as_ref()?.decision.as_ref()?;
            let names = self.problem.contests[neighbour].names(&decision.choice);
            self.problem.contests[contest].named(&names)
        })
    }

    fn end(&mut self, current: Current) {
        let data = &self.problem.contests[current.contest];
        let mut decision = match &current.stage {
            Stage::Confirm(confirm) => confirm.decide(&self.confirm_level, (1.0 + self.options.margin).ln()),
            Stage::Screen | Stage::Race => None,
        };
        // What was raced is known better than what was only screened.
        let mut known = current.scores;
        for (slot, arm, level_us) in current.field.levels_us() {
            known[slot][arm] = Some(level_us.ln());
        }
        if let Some(decision) = &mut decision {
            // Without a rival there was no confirmation, and the race's times are the best there are.
            let raced = || {
                decision.choice.iter().enumerate().map(|(slot, &arm)| known[slot][arm].map(f64::exp)).sum()
            };
            decision.time_us = decision.time_us.or_else(raced);
        }
        // Away from the anchors few arms ran; what the neighbours know of the others is passed on.
        let anchored = self.anchors.contains(&current.contest);
        let near = if anchored { Vec::new() } else { self.learnt_near(current.contest) };
        let learnt = Learnt::of(data, &known, self.options.inherited, &near);
        self.ended[current.contest] = Some(Ended { decision, learnt });
    }
}

impl Strategy for Race {
    fn next(&mut self) -> Option<Round> {
        loop {
            let mut current = match self.current.take() {
                Some(current) => current,
                None => {
                    let contest = self.waiting.pop()?;
                    self.begin(contest)
                }
            };
            let round = self.step(&mut current);
            if round.is_some() {
                self.current = Some(current);
                return round;
            }
            self.end(current);
        }
    }

    fn observe(&mut self, round: &Round, heard: &Heard) {
        let Some(current) = &mut self.current else { return };
        for (entrant, _) in &heard.failures {
            if let Entrant::Single { slot, arm } = round.entrants[usize::from(*entrant)] {
                current.dead.insert((slot, arm));
            }
        }
        match &mut current.stage {
            Stage::Screen => current.screen.observe(round, heard),
            Stage::Race => current.field.observe(round, heard),
            Stage::Confirm(confirm) => confirm.observe(round, heard),
        }
    }

    fn decisions(&self) -> Vec<Option<Decision>> {
        self.ended.iter().map(|ended| ended.as_ref().and_then(|ended| ended.decision.clone())).collect()
    }

    fn leader(&self, contest: usize) -> Option<Choice> {
        if let Some(ended) = &self.ended[contest] {
            return ended.decision.as_ref().map(|decision| decision.choice.clone());
        }
        let current = self.current.as_ref().filter(|current| current.contest == contest)?;
        let data = &self.problem.contests[contest];
        current.field.best().or_else(|| data.best_by(|slot, arm| current.scores[slot][arm].map(f64::exp)))
    }
}
