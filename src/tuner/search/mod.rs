//! A strategy at work on the nodes of a fleet: which contest each node races, what it times next, what that means.
//!
//! It does no I/O and waits for nobody. A node's answer becomes a [`Record`]; once that is on disk it is
//! [applied](Search::apply), and only then does the strategy hear of it. A run that was killed goes on by telling each
//! contest what the journal holds of it: given the same answers it asks the same questions, so the end is that of a
//! run nobody disturbed.

mod offers;
mod past;
mod request;
mod telling;

use std::collections::{BTreeMap, BTreeSet};

use self::request::{request, timings};
use self::telling::Telling;
use super::contests::Contests;
use super::error::RunError;
use super::record::Record;
use super::sentinel::{Sentinel, Steadiness, is_awake};
use super::strategy::{Choice, ContestId, ContestRun, Round, Strategy, Timings};
use super::trace::Trace;
use crate::events::Observer;
use crate::host_name::HostName;
use crate::worker::protocol::{GpuState, TimingRequest};
use crate::worker::timing::Timed;

pub(crate) use self::offers::{Offer, SecondTo};
pub(crate) use self::past::{ContestRounds, Past};

/// How far a search may go.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// Measuring time, seconds, of all nodes and sessions of the run together; none is no limit.
    pub budget_s: Option<f64>,
    /// Measure no more on a node that is not steady, instead of warning.
    pub strict: bool,
}

/// What a search cost.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Spent {
    /// Time in rounds and looks at sentinels, seconds, set-up included.
    pub seconds: f64,
    /// Kernel launches in rounds, warm-ups included.
    pub launches: u64,
    /// Rounds.
    pub rounds: usize,
    /// Whether every contest was decided.
    pub complete: bool,
}

/// What a search cost and went through.
#[derive(Debug, Default)]
pub(crate) struct Searched {
    /// The cost.
    pub spent: Spent,
    /// The course.
    pub trace: Trace,
    /// Every round that counted, with where it was measured and what came of it.
    pub rounds: Vec<(HostName, Round, Timings)>,
    /// What led each contest that was left undecided, by the contest's place.
    pub leaders: BTreeMap<usize, Choice>,
    /// The node that decided each contest, by its place.
    pub raced_on: BTreeMap<usize, HostName>,
    /// By the contest's place, the nodes that judged each choice that a second one was asked about, the first first.
    pub judges: BTreeMap<usize, [HostName; 2]>,
}

/// What a node that races does next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Time this.
    Time(TimingRequest),
    /// The contest is over for it: decided, or the budget is spent.
    Over,
}

/// A contest on one node, with the question it has asked.
#[derive(Debug)]
struct Asking {
    contest: ContestId,
    run: Box<dyn ContestRun>,
    round: Round,
    /// Whether the sentinel is timed first.
    looking: bool,
    course: Course,
}

/// What a contest went through on one node: it counts where the contest ends on that node.
#[derive(Debug, Default)]
struct Course {
    trace: Trace,
    rounds: Vec<(HostName, Round, Timings)>,
}

/// A search under way.
pub(crate) struct Search<'a> {
    strategy: &'a mut dyn Strategy,
    contests: &'a Contests,
    limits: Limits,
    past: Past,
    /// Contests that were begun on a node and wait for it; another node begins them anew.
    waiting: BTreeMap<(ContestId, HostName), Asking>,
    racing: BTreeMap<HostName, Asking>,
    sentinels: BTreeMap<(HostName, usize), Sentinel>,
    offered: BTreeSet<ContestId>,
    /// Confirmations by a second node, of all contests begun or offered.
    confirmations: BTreeSet<ContestId>,
    /// Whether the budget ended a contest.
    cut_short: bool,
    telling: Telling<'a>,
    searched: Searched,
}

impl<'a> Search<'a> {
    /// Let `strategy` decide `contests`, after what was measured in the `past`.
    pub(crate) fn new(
        strategy: &'a mut dyn Strategy,
        contests: &'a Contests,
        limits: Limits,
        past: Past,
        observer: &mut dyn Observer,
    ) -> Result<Self, RunError> {
        let telling = Telling::new(observer, &contests.problem.contests);
        let searched =
            Searched { spent: Spent { seconds: past.seconds(), ..Spent::default() }, ..Searched::default() };
        let mut search = Self {
            strategy,
            contests,
            limits,
            past,
            waiting: BTreeMap::new(),
            racing: BTreeMap::new(),
            sentinels: BTreeMap::new(),
            offered: BTreeSet::new(),
            confirmations: BTreeSet::new(),
            cut_short: false,
            telling,
            searched,
        };
        if !search.past.is_empty() {
            search.take_over()?;
            search.telling.resumed(observer, &search.strategy.decisions(), &search.searched.spent);
        }
        Ok(search)
    }

    /// `node` races `contest`: it goes on where it stopped, or begins.
    pub(crate) fn begin(&mut self, node: &HostName, contest: ContestId, observer: &mut dyn Observer) -> Step {
        let asking = match self.waiting.remove(&(contest, node.clone())) {
            Some(asking) => asking,
            None => {
                let mut run = self.strategy.begin(contest);
                match run.next() {
                    Some(round) => Asking { contest, run, round, looking: false, course: Course::default() },
                    None => return self.over(node, run, Course::default(), observer),
                }
            }
        };
        self.ask(node, asking)
    }

    /// What `timed`, the answer to what `node` was told to time, is recorded as.
    pub(crate) fn record(
        &self,
        node: &HostName,
        timed: &Timed,
        seconds: f64,
        max_clock_mhz: Option<f64>,
    ) -> Option<Record> {
        let asking = self.racing.get(node)?;
        if !asking.looking {
            let (round, timings) = (asking.round.clone(), timings(timed, seconds));
            let (on, gpu, replaced) = (node.clone(), timed.state.clone(), timed.replaced);
            return Some(Record::Round { on, round, timings, gpu, replaced });
        }
        Some(Record::Sentinel {
            on: node.clone(),
            batch_size: self.batch_size(asking.contest),
            entrant: self.sentinels.get(&(node.clone(), asking.contest.index))?.entrant().clone(),
            awake: is_awake(&timed.state, max_clock_mhz),
            times_us: timed.times_us.iter().flatten().copied().collect(),
            gpu: timed.state.clone(),
            seconds,
            replaced: timed.replaced,
        })
    }

    /// `record` is on disk: it counts. What its node does next; an error where the node cannot be measured on.
    pub(crate) fn apply(
        &mut self,
        record: &Record,
        max_clock_mhz: Option<f64>,
        observer: &mut dyn Observer,
    ) -> Result<Option<Step>, RunError> {
        match record {
            Record::Round { on, timings, .. } => {
                let Some(mut asking) = self.racing.remove(on) else { return Ok(None) };
                self.searched.spent.seconds += timings.seconds;
                asking.run.observe(&asking.round, timings);
                let (spent, run) = (&mut self.searched.spent, &*asking.run);
                asking.course.count(spent, self.contests, on, run, &asking.round, timings);
                let sentinel = self.sentinels.get_mut(&(on.clone(), asking.contest.index));
                sentinel.into_iter().for_each(Sentinel::round_passed);
                self.telling.measured(observer, on, asking.contest.index, &self.searched.spent);
                match asking.run.next() {
                    Some(round) => Ok(Some(self.ask(on, Asking { round, ..asking }))),
                    None => Ok(Some(self.over(on, asking.run, asking.course, observer))),
                }
            }
            Record::Sentinel { on, times_us, gpu, seconds, .. } => {
                self.searched.spent.seconds += seconds;
                self.looked(on, times_us, gpu, max_clock_mhz, observer)
            }
            Record::Session { .. }
            | Record::Joined { .. }
            | Record::Left { .. }
            | Record::Ordered { .. }
            | Record::BatchEnded { .. }
            | Record::Proof { .. }
            | Record::Binary { .. }
            | Record::File { .. } => Ok(None),
        }
    }

    /// `node` is gone. What it raced waits for it, or begins anew on another.
    pub(crate) fn interrupted(&mut self, node: &HostName) {
        if let Some(asking) = self.racing.remove(node) {
            self.waiting.insert((asking.contest, node.clone()), asking);
        }
    }

    /// Whether nothing more may be measured.
    pub(crate) fn is_out_of_budget(&self) -> bool {
        self.limits.budget_s.is_some_and(|budget| self.searched.spent.seconds >= budget)
    }

    /// Whether a node is at work.
    pub(crate) fn is_racing(&self) -> bool {
        !self.racing.is_empty()
    }

    /// What it came to. `all_over` is whether no contest waits for a node that could take it.
    pub(crate) fn finish(
        mut self,
        all_over: bool,
        observer: &mut dyn Observer,
    ) -> Result<Searched, RunError> {
        // Of a contest that several nodes began, what one of them knows is enough.
        let waiting: BTreeSet<ContestId> = self.waiting.keys().map(|(contest, _)| *contest).collect();
        for contest in waiting {
            let asking =
                self.furthest(contest, &|_| true).and_then(|node| self.waiting.remove(&(contest, node)));
            asking.into_iter().for_each(|asking| self.undecided(asking));
        }
        let decided = self.strategy.ready().is_empty();
        self.searched.spent.complete = decided && all_over && !self.cut_short;
        // What nobody asked for cannot have been asked by this strategy.
        if let Some(contest) = self.past.left_over().filter(|_| decided) {
            return Err(self.other_strategy(contest, 0));
        }
        self.telling.ended(observer, &self.searched.spent);
        Ok(self.searched)
    }

    /// The next step towards the answer to what `asking` has asked.
    fn ask(&mut self, node: &HostName, asking: Asking) -> Step {
        if self.is_out_of_budget() {
            self.cut_short = true;
            self.undecided(asking);
            return Step::Over;
        }
        let Asking { contest, round, .. } = &asking;
        let data = &self.contests.problem.contests[contest.index];
        let sentinel = self.sentinels.entry((node.clone(), contest.index)).or_insert_with(|| {
            match self.past.sentinel(node, data.key) {
                Some((entrant, times_us)) => Sentinel::known(entrant.clone(), times_us),
                None => Sentinel::new(data, round),
            }
        });
        let looking = sentinel.is_due();
        let asked = if looking {
            request(self.contests, &sentinel.look(round))
        } else {
            request(self.contests, round)
        };
        self.racing.insert(node.clone(), Asking { looking, ..asking });
        Step::Time(asked)
    }

    /// The sentinel of what `node` races was timed.
    fn looked(
        &mut self,
        node: &HostName,
        times_us: &[f64],
        state: &GpuState,
        max_clock_mhz: Option<f64>,
        observer: &mut dyn Observer,
    ) -> Result<Option<Step>, RunError> {
        let Some(asking) = self.racing.remove(node) else { return Ok(None) };
        let contest = asking.contest;
        let sentinel = self.sentinels.get_mut(&(node.clone(), contest.index));
        let found = sentinel.map_or(Steadiness::Steady, |it| it.judge(times_us, state, max_clock_mhz));
        match found {
            Steadiness::LookAgain | Steadiness::Steady => {}
            Steadiness::Moved(change) if self.limits.strict => {
                self.waiting.insert((contest, node.clone()), asking);
                let (change, batch_size) = (change * 100.0, self.batch_size(contest));
                return Err(RunError::Unsteady { change, batch_size });
            }
            Steadiness::Moved(change) => {
                self.telling.unsteady(observer, node, contest.index, change * 100.0);
            }
            Steadiness::Capped { clock_mhz, max_mhz, why } => {
                self.waiting.insert((contest, node.clone()), asking);
                return Err(RunError::CappedClock { clock_mhz, max_mhz, why });
            }
        }
        Ok(Some(self.ask(node, asking)))
    }

    /// A contest has come to its end.
    fn over(
        &mut self,
        node: &HostName,
        run: Box<dyn ContestRun>,
        course: Course,
        observer: &mut dyn Observer,
    ) -> Step {
        let contest = self.end(node, run, course);
        let decisions = self.strategy.decisions();
        match self.searched.judges.get(&contest.index).filter(|_| self.is_confirmation(contest)) {
            Some(judges) => self.telling.judged(observer, contest.index, judges, &decisions),
            None => self.telling.stands_at(observer, &decisions),
        }
        Step::Over
    }

    /// `node` was the one to end a contest: which.
    fn end(&mut self, node: &HostName, run: Box<dyn ContestRun>, course: Course) -> ContestId {
        let conclusion = run.finish();
        let contest = conclusion.contest;
        self.waiting.retain(|(other, _), _| *other != contest);
        self.keep(course);
        match self.is_confirmation(contest) {
            true => {
                let judges =
                    self.searched.raced_on.get(&contest.index).map(|first| [first.clone(), node.clone()]);
                self.searched.judges.extend(judges.map(|judges| (contest.index, judges)));
            }
            false => {
                self.searched.raced_on.insert(contest.index, node.clone());
            }
        }
        self.strategy.end(conclusion);
        contest
    }

    fn undecided(&mut self, asking: Asking) {
        self.waiting.retain(|(contest, _), _| *contest != asking.contest);
        self.searched.leaders.extend(asking.run.leader().map(|leader| (asking.contest.index, leader)));
        self.keep(asking.course);
    }

    fn keep(&mut self, course: Course) {
        self.searched.trace.extend(course.trace);
        self.searched.rounds.extend(course.rounds);
    }

    /// Tokens in a forward pass of `contest`.
    pub(crate) fn batch_size(&self, contest: ContestId) -> u32 {
        self.contests.problem.contests[contest.index].key
    }

    fn other_strategy(&self, contest: ContestId, matched: usize) -> RunError {
        RunError::OtherStrategy { batch_size: self.batch_size(contest), round: matched + 1 }
    }
}

impl Course {
    /// One more round is answered.
    fn count(
        &mut self,
        spent: &mut Spent,
        contests: &Contests,
        on: &HostName,
        run: &dyn ContestRun,
        round: &Round,
        timings: &Timings,
    ) {
        let slots = contests.problem.contests[round.contest.index].slots.len();
        spent.launches += round.launches(slots);
        spent.rounds += 1;
        self.trace.observe(round, timings, spent.launches, run.leader());
        self.rounds.push((on.clone(), round.clone(), timings.clone()));
    }
}
