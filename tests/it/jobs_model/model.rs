//! The jobs table as it is meant: a list of jobs in memory, and what each step does to them. No SQL, no clock, nothing at once.

use psp_dashboard::domain::job::JobState;
use psp_dashboard::domain::job::attempt::{MAX_ISOLATED_DEATHS, Outcome};

/// A moment, counted in steps.
type Moment = u32;

/// What can be seen of a job, in the model and in the database.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    pub(super) state: JobState,
    pub(super) priority: i16,
    pub(super) due: bool,
    pub(super) epoch: i64,
    pub(super) attempt: i32,
    pub(super) suspect: bool,
    pub(super) deaths_alone: i16,
    pub(super) cancel_requested: bool,
    pub(super) lease: Option<Lease>,
    /// The outcome of each attempt, `open` where there is none yet.
    pub(super) attempts: Vec<String>,
}

/// Who works on a job.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lease {
    pub(super) worker: String,
    pub(super) epoch: i64,
    pub(super) isolated: bool,
    pub(super) expired: bool,
}

/// A job that is to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    pub(super) key: Option<u8>,
    pub(super) limited: bool,
    pub(super) force: bool,
    pub(super) priority: i16,
    pub(super) delayed: bool,
}

#[derive(Debug, Clone)]
struct Job {
    key: Option<u8>,
    limited: bool,
    forced: bool,
    /// None where it waits for longer than any test lasts.
    due_at: Option<Moment>,
    seen: Seen,
}

/// The right to write in the name of a job: its place in the list, and the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) job: usize,
    pub(super) epoch: i64,
}

/// The jobs table.
#[derive(Debug, Default)]
pub(super) struct Model {
    jobs: Vec<Job>,
    now: Moment,
    pub(super) paused: bool,
}

impl Job {
    fn is_live(&self) -> bool {
        !self.seen.state.is_finished()
    }

    fn is_waiting(&self) -> bool {
        self.is_live() && self.seen.state != JobState::Running
    }

    fn is_held_by(&self, epoch: i64) -> bool {
        self.seen.state == JobState::Running && self.seen.epoch == epoch
    }

    /// Ends the attempt that is open.
    fn close(&mut self, outcome: &str, counts: bool) {
        self.seen.lease = None;
        outcome.clone_into(self.seen.attempts.last_mut().expect("it runs"));
        if !counts {
            self.seen.attempt -= 1;
        }
    }
}

impl Model {
    /// What can be seen of every job, in the order of their coming.
    pub(super) fn seen(&self) -> Vec<Seen> {
        let seen = |job: &Job| Seen { due: job.due_at.is_some(), ..job.seen.clone() };
        self.jobs.iter().map(seen).collect()
    }

    /// Enqueues a job or joins one; says which, and whether it was there already.
    pub(super) fn enqueue(&mut self, request: Request) -> (usize, bool) {
        self.now += 1;
        let alike = |job: &Job| job.is_live() && job.key == request.key && job.limited == request.limited;
        let live = request.key.and_then(|_| {
            let mut live: Vec<usize> = (0..self.jobs.len()).filter(|at| alike(&self.jobs[*at])).collect();
            live.sort_by_key(|at| (self.jobs[*at].forced, *at));
            live.first().copied()
        });
        if let Some(at) = live.filter(|_| !request.force) {
            let job = &mut self.jobs[at];
            if job.is_waiting() && job.seen.priority > request.priority {
                job.seen.priority = request.priority;
                job.due_at = job.due_at.or(Some(self.now));
            }
            return (at, true);
        }
        self.jobs.push(Job {
            key: request.key,
            limited: request.limited,
            forced: live.is_some(),
            due_at: (!request.delayed).then_some(self.now),
            seen: Seen {
                state: if request.delayed { JobState::Scheduled } else { JobState::Queued },
                priority: request.priority,
                due: !request.delayed,
                epoch: 0,
                attempt: 0,
                suspect: false,
                deaths_alone: 0,
                cancel_requested: false,
                lease: None,
                attempts: vec![],
            },
        });
        (self.jobs.len() - 1, false)
    }

    /// The jobs that may be claimed, the best first.
    pub(super) fn claimable(&self, isolated: bool) -> Vec<usize> {
        let limit_is_taken = self.jobs.iter().any(|job| job.limited && job.seen.lease.is_some());
        let mut best: Vec<usize> = (0..self.jobs.len())
            .filter(|at| {
                let job = &self.jobs[*at];
                let is_free = !(self.paused || job.limited && limit_is_taken);
                job.is_waiting() && job.due_at.is_some() && job.seen.suspect == isolated && is_free
            })
            .collect();
        best.sort_by_key(|at| (self.jobs[*at].seen.priority, self.jobs[*at].due_at, *at));
        best
    }

    /// Of jobs that may be claimed, those that `hands` get: of two that share a limit the first.
    pub(super) fn choose(&self, claimable: &[usize], hands: usize) -> Vec<usize> {
        let mut limit_is_free = true;
        let chosen = claimable.iter().take(hands).copied();
        chosen.filter(|at| !self.jobs[*at].limited || std::mem::take(&mut limit_is_free)).collect()
    }

    /// Gives a job to `worker`.
    pub(super) fn claim(&mut self, at: usize, worker: &str, isolated: bool) -> Claim {
        let seen = &mut self.jobs[at].seen;
        seen.state = JobState::Running;
        seen.epoch += 1;
        seen.attempt += 1;
        seen.attempts.push("open".to_owned());
        seen.lease = Some(Lease { worker: worker.to_owned(), epoch: seen.epoch, isolated, expired: false });
        Claim { job: at, epoch: seen.epoch }
    }

    /// Whether whoever holds the claim may write.
    pub(super) fn holds(&self, claim: Claim) -> bool {
        self.jobs[claim.job].is_held_by(claim.epoch)
    }

    /// Renews a lease; none where the claim is lost, else whether the job was told to stop.
    pub(super) fn renew(&mut self, claim: Claim) -> Option<bool> {
        let seen = &mut self.jobs[claim.job].seen;
        let lease = seen.lease.as_mut().filter(|lease| lease.epoch == claim.epoch)?;
        lease.expired = false;
        Some(seen.cancel_requested)
    }

    /// Lets the leases of a worker run out.
    pub(super) fn expire(&mut self, worker: &str) {
        let leases = self.jobs.iter_mut().filter_map(|job| job.seen.lease.as_mut());
        leases.filter(|lease| lease.worker == worker).for_each(|lease| lease.expired = true);
    }

    /// Takes the jobs of the dead; says which.
    pub(super) fn rescue(&mut self) -> Vec<usize> {
        self.now += 1;
        let mut taken = vec![];
        for (at, job) in self.jobs.iter_mut().enumerate() {
            let Some(lease) = job.seen.lease.clone().filter(|lease| lease.expired) else { continue };
            job.close("lost", false);
            job.due_at = Some(self.now);
            job.seen.deaths_alone += i16::from(lease.isolated);
            job.seen.state = match () {
                () if job.seen.cancel_requested => JobState::Cancelled,
                () if job.seen.deaths_alone >= i16::try_from(MAX_ISOLATED_DEATHS).expect("a few") => JobState::Failed,
                () => JobState::Retrying,
            };
            job.seen.suspect = job.seen.state == JobState::Retrying;
            taken.push(at);
        }
        taken
    }

    /// Ends an attempt; none where the claim is lost, else where the job stands now.
    pub(super) fn finish(&mut self, claim: Claim, outcome: &Outcome) -> Option<JobState> {
        self.now += 1;
        let job = self.jobs.get_mut(claim.job).filter(|job| job.is_held_by(claim.epoch))?;
        job.close(outcome.name(), outcome.counts());
        let next = outcome.next_state();
        job.seen.state = if job.seen.cancel_requested && !next.is_finished() { JobState::Cancelled } else { next };
        if outcome.counts() {
            // It did not kill its process.
            (job.seen.suspect, job.seen.deaths_alone) = (false, 0);
        }
        job.due_at = outcome.wait().is_zero().then_some(self.now);
        Some(job.seen.state)
    }

    /// Cancels a job, or tells it to stop; none where it has ended, else where it stands now.
    pub(super) fn cancel(&mut self, at: usize) -> Option<JobState> {
        let job = self.jobs.get_mut(at).filter(|job| job.is_live())?;
        if job.is_waiting() {
            job.seen.state = JobState::Cancelled;
            job.seen.suspect = false;
        }
        job.seen.cancel_requested = true;
        Some(job.seen.state)
    }

    /// Lets every wait end.
    pub(super) fn let_time_pass(&mut self) {
        self.now += 1;
        let waiting = self.jobs.iter_mut().filter(|job| job.is_waiting() && job.due_at.is_none());
        waiting.for_each(|job| job.due_at = Some(self.now));
    }
}
