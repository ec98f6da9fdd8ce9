//! The model of the jobs table: a list of jobs in memory, and what each step does to them. No SQL, no clock, no concurrency.

use psp_dashboard::domain::job::JobState;
use psp_dashboard::domain::job::attempt::{MAX_ISOLATED_DEATHS, Outcome};

/// Time, counted in steps.
type Time = u32;

/// The state of a job that is compared between the model and the database.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JobSnapshot {
    pub(super) state: JobState,
    pub(super) priority: i16,
    pub(super) due: bool,
    pub(super) epoch: i64,
    pub(super) attempt: i32,
    pub(super) suspect: bool,
    pub(super) deaths_alone: i16,
    pub(super) cancel_requested: bool,
    pub(super) lease: Option<Lease>,
    /// The outcome of each attempt; `open` until it has one.
    pub(super) attempts: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lease {
    pub(super) worker: String,
    pub(super) epoch: i64,
    pub(super) isolated: bool,
    pub(super) expired: bool,
}

/// A job to enqueue.
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
    /// `None` if its delay is longer than any case.
    due_at: Option<Time>,
    snapshot: JobSnapshot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    /// The index of the job in the list.
    pub(super) job: usize,
    pub(super) epoch: i64,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    jobs: Vec<Job>,
    now: Time,
    pub(super) paused: bool,
}

impl Job {
    fn is_live(&self) -> bool {
        !self.snapshot.state.is_finished()
    }

    fn is_waiting(&self) -> bool {
        self.is_live() && self.snapshot.state != JobState::Running
    }

    fn is_held_by(&self, epoch: i64) -> bool {
        self.snapshot.state == JobState::Running && self.snapshot.epoch == epoch
    }

    /// Ends the open attempt. Unless it `counts`, it is not charged to the job.
    fn end_attempt(&mut self, outcome: &str, counts: bool) {
        self.snapshot.lease = None;
        outcome.clone_into(self.snapshot.attempts.last_mut().expect("the job is running"));
        if !counts {
            self.snapshot.attempt -= 1;
        }
    }
}

impl Model {
    /// Every job, oldest first.
    pub(super) fn snapshots(&self) -> Vec<JobSnapshot> {
        let snapshot = |job: &Job| JobSnapshot { due: job.due_at.is_some(), ..job.snapshot.clone() };
        self.jobs.iter().map(snapshot).collect()
    }

    /// Enqueues a job or joins one. Returns its index, and whether it was joined.
    pub(super) fn enqueue(&mut self, request: Request) -> (usize, bool) {
        self.now += 1;
        let is_same = |job: &Job| job.is_live() && job.key == request.key && job.limited == request.limited;
        let live = request.key.and_then(|_| {
            let mut live: Vec<usize> = (0..self.jobs.len()).filter(|index| is_same(&self.jobs[*index])).collect();
            live.sort_by_key(|index| (self.jobs[*index].forced, *index));
            live.first().copied()
        });
        if let Some(index) = live.filter(|_| !request.force) {
            let job = &mut self.jobs[index];
            if job.is_waiting() && job.snapshot.priority > request.priority {
                job.snapshot.priority = request.priority;
                job.due_at = job.due_at.or(Some(self.now));
            }
            return (index, true);
        }
        self.jobs.push(Job {
            key: request.key,
            limited: request.limited,
            forced: live.is_some(),
            due_at: (!request.delayed).then_some(self.now),
            snapshot: JobSnapshot {
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

    /// The indexes of the claimable jobs, in the order in which they are claimed.
    pub(super) fn claimable(&self, isolated: bool) -> Vec<usize> {
        let limit_is_taken = self.jobs.iter().any(|job| job.limited && job.snapshot.lease.is_some());
        let mut claimable: Vec<usize> = (0..self.jobs.len())
            .filter(|index| {
                let job = &self.jobs[*index];
                let is_free = !(self.paused || job.limited && limit_is_taken);
                job.is_waiting() && job.due_at.is_some() && job.snapshot.suspect == isolated && is_free
            })
            .collect();
        // All suspects are short here, and those are claimed regardless of their priority.
        let rank = |index: usize| if isolated { 0 } else { self.jobs[index].snapshot.priority };
        claimable.sort_by_key(|index| (rank(*index), self.jobs[*index].due_at, *index));
        claimable
    }

    /// Of claimable jobs, those that a claim of up to `limit` gets: of those that share a concurrency limit, only the first.
    pub(super) fn choose(&self, claimable: &[usize], limit: usize) -> Vec<usize> {
        let mut limit_is_free = true;
        let chosen = claimable.iter().take(limit).copied();
        chosen.filter(|index| !self.jobs[*index].limited || std::mem::take(&mut limit_is_free)).collect()
    }

    /// Claims a job with an epoch, which must be higher than the last.
    pub(super) fn claim(&mut self, index: usize, worker: &str, isolated: bool, epoch: i64) -> Claim {
        let snapshot = &mut self.jobs[index].snapshot;
        assert!(epoch > snapshot.epoch, "{epoch} after {}", snapshot.epoch);
        snapshot.state = JobState::Running;
        snapshot.epoch = epoch;
        snapshot.attempt += 1;
        snapshot.attempts.push("open".to_owned());
        snapshot.lease = Some(Lease { worker: worker.to_owned(), epoch: snapshot.epoch, isolated, expired: false });
        Claim { job: index, epoch: snapshot.epoch }
    }

    pub(super) fn is_valid(&self, claim: Claim) -> bool {
        self.jobs[claim.job].is_held_by(claim.epoch)
    }

    /// Renews a lease. Returns whether the job is to be cancelled; `None` if the claim is lost.
    pub(super) fn renew(&mut self, claim: Claim) -> Option<bool> {
        let snapshot = &mut self.jobs[claim.job].snapshot;
        let lease = snapshot.lease.as_mut().filter(|lease| lease.epoch == claim.epoch)?;
        lease.expired = false;
        Some(snapshot.cancel_requested)
    }

    /// Expires the leases of a worker.
    pub(super) fn expire(&mut self, worker: &str) {
        let leases = self.jobs.iter_mut().filter_map(|job| job.snapshot.lease.as_mut());
        leases.filter(|lease| lease.worker == worker).for_each(|lease| lease.expired = true);
    }

    /// Rescues the jobs with expired leases, and returns their indexes.
    pub(super) fn rescue(&mut self) -> Vec<usize> {
        self.now += 1;
        let mut rescued = vec![];
        for (index, job) in self.jobs.iter_mut().enumerate() {
            let Some(lease) = job.snapshot.lease.clone().filter(|lease| lease.expired) else { continue };
            job.end_attempt("lost", false);
            job.due_at = Some(self.now);
            job.snapshot.deaths_alone += i16::from(lease.isolated);
            job.snapshot.state = match () {
                () if job.snapshot.cancel_requested => JobState::Cancelled,
                () if job.snapshot.deaths_alone >= i16::try_from(MAX_ISOLATED_DEATHS).expect("a small number") => {
                    JobState::Failed
                }
                () => JobState::Retrying,
            };
            job.snapshot.suspect = job.snapshot.state == JobState::Retrying;
            rescued.push(index);
        }
        rescued
    }

    /// Ends an attempt. Returns the new state; `None` if the claim is lost.
    pub(super) fn finish(&mut self, claim: Claim, outcome: &Outcome) -> Option<JobState> {
        self.now += 1;
        let job = self.jobs.get_mut(claim.job).filter(|job| job.is_held_by(claim.epoch))?;
        job.end_attempt(outcome.name(), outcome.counts());
        let next = outcome.next_state();
        job.snapshot.state =
            if job.snapshot.cancel_requested && !next.is_finished() { JobState::Cancelled } else { next };
        if outcome.counts() {
            // The attempt ended without killing its process.
            (job.snapshot.suspect, job.snapshot.deaths_alone) = (false, 0);
        }
        job.due_at = outcome.wait().is_zero().then_some(self.now);
        Some(job.snapshot.state)
    }

    /// Cancels a waiting job, or requests it of a running one. Returns the new state; `None` if the job is finished.
    pub(super) fn cancel(&mut self, index: usize) -> Option<JobState> {
        let job = self.jobs.get_mut(index).filter(|job| job.is_live())?;
        if job.is_waiting() {
            job.snapshot.state = JobState::Cancelled;
            job.snapshot.suspect = false;
        }
        job.snapshot.cancel_requested = true;
        Some(job.snapshot.state)
    }

    /// Makes every delayed job due.
    pub(super) fn end_delays(&mut self) {
        self.now += 1;
        let waiting = self.jobs.iter_mut().filter(|job| job.is_waiting() && job.due_at.is_none());
        waiting.for_each(|job| job.due_at = Some(self.now));
    }
}
