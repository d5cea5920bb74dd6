//! The race for one contest, from its first screening round to its decision.

use std::collections::HashSet;
use std::sync::Arc;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::super::paired::Level;
use super::super::{
    Choice, Conclusion, Contest, ContestId, ContestRun, Entrant, LogTimes, Round, RoutingSeed, SearchProblem,
    Timings,
};
use super::candidates::{Candidates, ranked_by_whole};
use super::confirm::Confirm;
use super::elimination::Elimination;
use super::options::Options;
use super::screen::Screen;

/// Routings a race takes turns with.
const RACE_SEEDS: u32 = 5;

/// One arm in this many, and no fewer than these, get a second look.
const SECOND_LOOK_SHARE: usize = 40;
const SECOND_LOOK_LEAST: usize = 64;
/// A leader's neighbour this many times slower stays out. One run said so, and one run can be disturbed.
const NEIGHBOUR_CUTOFF: f64 = 2.0;
/// Blocks of a race's first round: the fewest an interval means anything for.
const FIRST_BLOCKS: usize = 5;
/// Blocks of each round after it.
const MORE_BLOCKS: usize = 3;

/// The confidence levels of a race, which are slow to make and shared by its contests.
#[derive(Debug)]
pub(super) struct Levels {
    race: Level,
    pub(super) confirm: Level,
}

impl Levels {
    pub(super) fn of(options: &Options) -> Self {
        Self { race: Level::missing(options.race_miss), confirm: Level::missing(options.confirm_miss) }
    }
}

/// One contest under way.
#[derive(Debug)]
pub(super) struct RaceRun {
    contest: ContestId,
    problem: Arc<SearchProblem>,
    options: Options,
    levels: Arc<Levels>,
    rng: ChaCha8Rng,
    /// What the predecessors chose: preferred among equals.
    preferred: Option<Choice>,
    stage: Stage,
    screen: Screen,
    /// What the screening said of each arm.
    scores: LogTimes,
    race: Elimination,
    failed: HashSet<(usize, usize)>,
    expansions: usize,
    /// Blocks since arms joined, and rounds since one was eliminated.
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

impl RaceRun {
    /// A race that screens `candidates` in this order.
    pub(super) fn new(
        contest: ContestId,
        problem: Arc<SearchProblem>,
        options: Options,
        levels: Arc<Levels>,
        rng: ChaCha8Rng,
        candidates: Vec<(usize, usize)>,
        preferred: Option<Choice>,
    ) -> Self {
        let data = &problem.contests[contest.index];
        Self {
            contest,
            options,
            levels,
            rng,
            preferred,
            stage: Stage::Screen,
            screen: Screen::new(data, candidates),
            scores: data.slots.iter().map(|slot| vec![None; slot.arms.len()]).collect(),
            race: Elimination::new(data, &[]),
            failed: HashSet::new(),
            expansions: 0,
            blocks: 0,
            quiet: 0,
            leader: None,
            problem,
        }
    }

    fn data(&self) -> &Contest {
        &self.problem.contests[self.contest.index]
    }

    /// Look again at the best of the first pass, or let the best of the second into the race.
    fn after_screening(&mut self) {
        self.scores = self.screen.scores();
        let ranked = ranked_by_whole(self.data(), &self.scores);
        if self.screen.is_second() {
            self.start_race(&ranked);
        } else {
            self.look_again(&ranked);
        }
    }

    fn look_again(&mut self, ranked: &[((usize, usize), f64)]) {
        let data = &self.problem.contests[self.contest.index];
        let within = (1.0 + self.options.second_look_within).ln();
        let mut listed = Candidates::with_incumbents(data);
        for arm in self.screen.references() {
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
        listed.order.retain(|arm| !self.failed.contains(arm));
        self.screen.look_again(listed.order);
    }

    fn start_race(&mut self, ranked: &[((usize, usize), f64)]) {
        let data = &self.problem.contests[self.contest.index];
        let within = (1.0 + self.options.race_within).ln();
        let best = ranked.iter().take(self.options.candidates);
        let mut arms: Vec<_> = best.filter(|it| it.1 <= within).map(|it| it.0).collect();
        for arm in Candidates::with_incumbents(data).order {
            if !self.failed.contains(&arm) && !arms.contains(&arm) {
                arms.push(arm);
            }
        }
        self.race = Elimination::new(data, &arms);
        self.stage = Stage::Race;
    }

    /// The next round of the race, after judging the last; none where the race is run.
    fn race_round(&mut self) -> Option<Round> {
        if self.race.blocks() > 0 {
            let dropped = self.race.eliminate(&self.levels.race, (1.0 + self.options.deficit).ln());
            self.quiet = if dropped == 0 { self.quiet + 1 } else { 0 };
        }
        let done = self.blocks >= self.options.blocks
            || (self.quiet >= 2 && self.blocks >= self.options.blocks / 2)
            || (self.blocks > 0 && self.race.surviving() <= self.data().slots.len());
        if done && !self.expand() {
            return None;
        }
        let entrants = self.race.entrants();
        if entrants.is_empty() {
            return None;
        }
        let blocks = if self.blocks == 0 { FIRST_BLOCKS } else { MORE_BLOCKS };
        let order = Round::shuffled_blocks(entrants.len(), blocks, &mut self.rng);
        // By rounds, not blocks: the arms of a round share their routing.
        let seed = self.rng.random_range(0..RACE_SEEDS);
        self.blocks += blocks;
        Some(Round {
            contest: self.contest,
            routing: RoutingSeed { skewed: false, seed },
            entrants,
            order,
            warm_up: true,
            abort_above_us: None,
        })
    }

    /// Let the leaders' families and neighbours join; whether any did.
    fn expand(&mut self) -> bool {
        let leaders = self.race.ranked(2);
        if self.expansions >= self.options.expansions || self.leader == leaders.first().cloned() {
            return false;
        }
        self.leader = leaders.first().cloned();
        let data = &self.problem.contests[self.contest.index];
        let too_slow =
            |slot: usize, arm: usize, best: usize| match (self.scores[slot][arm], self.scores[slot][best]) {
                (Some(arm), Some(best)) => arm - best > NEIGHBOUR_CUTOFF.ln(),
                _ => false,
            };
        let mut joining = Vec::new();
        for leader in &leaders {
            for (slot, &best) in leader.iter().enumerate() {
                let of = data.arm(slot, best);
                for (index, arm) in data.slots[slot].arms.iter().enumerate() {
                    let related = arm.link == of.link && (arm.family == of.family || arm.is_neighbour(of));
                    let known = self.race.has(slot, index) || self.failed.contains(&(slot, index));
                    if related && !known && !too_slow(slot, index, best) {
                        joining.push((slot, index));
                    }
                }
            }
        }
        joining.sort_unstable();
        joining.dedup();
        for &(slot, arm) in joining.iter().take(self.options.candidates) {
            self.race.join(data, slot, arm);
        }
        self.expansions += 1;
        (self.blocks, self.quiet) = (0, 0);
        !joining.is_empty()
    }

    fn start_confirmation(&mut self) {
        let runs = |choice: &Choice| {
            choice.iter().enumerate().all(|(slot, &arm)| !self.failed.contains(&(slot, arm)))
        };
        let default = self.data().default.clone().filter(runs);
        self.stage = Stage::Confirm(Confirm::new(default, self.rivals(), self.preferred.clone()));
    }

    /// The whole choices to confirm: the best, and what the predecessors chose if it still runs along.
    fn rivals(&self) -> Vec<Choice> {
        let most = self.options.rivals[0];
        let within = (1.0 + self.options.deficit).ln();
        let ranked = self.race.ranked_with_log_ratio(most).into_iter().enumerate();
        let near = ranked.filter(|(at, (_, ratio))| *at < self.options.sure_rivals || *ratio <= within);
        let mut rivals: Vec<Choice> = near.map(|(_, (choice, _))| choice).collect();
        let survivors = self.race.survivors();
        let survives =
            |choice: &Choice| choice.iter().enumerate().all(|(slot, &arm)| survivors.contains(&(slot, arm)));
        if let Some(preferred) = self.preferred.clone().filter(survives)
            && !rivals.contains(&preferred)
        {
            rivals.truncate(most.saturating_sub(1));
            rivals.push(preferred);
        }
        rivals
    }
}

impl ContestRun for RaceRun {
    fn next(&mut self) -> Option<Round> {
        loop {
            match &mut self.stage {
                Stage::Screen => {
                    if let Some(round) = self.screen.next(self.contest, &mut self.rng) {
                        return Some(round);
                    }
                    self.after_screening();
                }
                Stage::Race => {
                    if let Some(round) = self.race_round() {
                        return Some(round);
                    }
                    self.start_confirmation();
                }
                Stage::Confirm(confirm) => {
                    return confirm.ask(self.contest, &self.options, &self.levels.confirm, &mut self.rng);
                }
            }
        }
    }

    fn observe(&mut self, round: &Round, timings: &Timings) {
        for (entrant, _) in &timings.failures {
            if let Entrant::Single { slot, arm } = round.entrants[usize::from(*entrant)] {
                self.failed.insert((slot, arm));
            }
        }
        match &mut self.stage {
            Stage::Screen => self.screen.observe(round, timings),
            Stage::Race => self.race.observe(round, timings),
            Stage::Confirm(confirm) => confirm.observe(round, timings),
        }
    }

    fn leader(&self) -> Option<Choice> {
        let time_us = |slot: usize, arm: usize| self.scores[slot][arm].map(f64::exp);
        self.race.best().or_else(|| self.data().best_by(time_us))
    }

    fn finish(self: Box<Self>) -> Conclusion {
        let mut decision = match &self.stage {
            Stage::Confirm(confirm) => confirm.decide(&self.levels.confirm, (1.0 + self.options.margin).ln()),
            Stage::Screen | Stage::Race => None,
        };
        // What was raced is known better than what was only screened.
        let mut known = self.scores;
        for (slot, arm, level_us) in self.race.levels_us() {
            known[slot][arm] = Some(level_us.ln());
        }
        if let Some(decision) = &mut decision {
            // Without a rival there was no confirmation, and the race's times are the best there are.
            let raced = || {
                decision.choice.iter().enumerate().map(|(slot, &arm)| known[slot][arm].map(f64::exp)).sum()
            };
            decision.time_us = decision.time_us.or_else(raced);
        }
        Conclusion { contest: self.contest, decision, log_times: known }
    }
}
