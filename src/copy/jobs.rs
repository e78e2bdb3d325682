//! The jobs: accepted, queued, run side by side, reported, cancelled, and forgotten some time after their end.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, broadcast, watch};
use tracing::Instrument;

use super::request::{Request, Scope, invalid};
use super::status::{JobId, Objects, Place, Problem, Progress, State, Status};
use super::work::{Stopped, Work, Written};
use super::{Buckets, Options};
use super::{object, prefix};
use crate::base::Jobs;
use crate::store::Result;

/// Jobs under way at once; others wait in the order they came.
const RUNNING: usize = 8;

/// Jobs that have not ended, at most.
const MOST_LIVE: usize = 1000;

/// Jobs that are still told about after their end.
const KEPT: usize = 256;

/// Objects that may be written before a listener hears of the first; later listeners are told that they missed some.
const UNHEARD: usize = 1024;

/// Makes copies. Clones share their jobs.
#[derive(Clone, Debug)]
pub struct Copier(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    buckets: Arc<dyn Buckets>,
    runtime: Handle,
    options: Options,
    running: Semaphore,
    requests: Arc<Semaphore>,
    written: broadcast::Sender<Written>,

    jobs: Mutex<Jobs<Job>>,
}

#[derive(Debug)]
struct Job {
    status: watch::Sender<Status>,
    cancelled: watch::Sender<bool>,
}

impl Copier {
    /// A copier without jobs. They run on the Tokio runtime that this is called in.
    pub fn new(buckets: Arc<dyn Buckets>, options: Options) -> Self {
        Copier(Arc::new(Shared {
            buckets,
            runtime: Handle::current(),
            running: Semaphore::new(RUNNING),
            requests: Arc::new(Semaphore::new(options.requests.max(1))),
            written: broadcast::Sender::new(UNHEARD),
            options,
            jobs: Mutex::new(Jobs::new(MOST_LIVE, KEPT)),
        }))
    }

    /// Takes a job, which begins when its turn comes. From any thread; does not wait.
    ///
    /// Fails with [`ErrorKind::Invalid`](crate::store::ErrorKind::Invalid) and one sentence where the request asks for
    /// what cannot be, and where too many jobs have not ended.
    pub fn start(&self, request: Request) -> Result<JobId> {
        request.check()?;
        let (cancelled, stop) = watch::channel(false);
        let status = watch::Sender::new(queued(&request));
        let enter = |number| {
            status.send_modify(|status| status.job = JobId(number));
            Job { status: status.clone(), cancelled }
        };
        let too_many = || invalid(format!("{MOST_LIVE} copies are queued or running; wait for one, or cancel one"));
        let id = JobId(self.0.jobs.lock().enter(enter).ok_or_else(too_many)?);
        let shared = self.0.clone();
        let span = tracing::debug_span!("copy", job = id.0, key = request.source.key);
        self.0.runtime.spawn(async move { shared.run(id, request, status, stop).await }.instrument(span));
        Ok(id)
    }

    /// How far a job is; `None` when there is none of this number, or it ended long ago.
    pub fn status(&self, id: JobId) -> Option<Status> {
        self.0.jobs.lock().get(id.0).map(|job| job.status.borrow().clone())
    }

    /// The status of a job as it changes. It lasts as long as a caller holds it.
    pub fn watch(&self, id: JobId) -> Option<watch::Receiver<Status>> {
        self.0.jobs.lock().get(id.0).map(|job| job.status.subscribe())
    }

    /// Every job that is still told about, the oldest first.
    pub fn list(&self) -> Vec<Status> {
        self.0.jobs.lock().iter().map(|job| job.status.borrow().clone()).collect()
    }

    /// Asks a job to stop, and returns whether there was one to stop. It ends soon after, when its parts are aborted;
    /// an object that is just being written may still be.
    pub fn cancel(&self, id: JobId) -> bool {
        let jobs = self.0.jobs.lock();
        jobs.get(id.0).is_some_and(|job| {
            job.cancelled.send_replace(true);
            !job.status.borrow().state.is_ended()
        })
    }

    /// Waits for the end of a job.
    pub async fn ended(&self, id: JobId) -> Option<Status> {
        let mut status = self.watch(id)?;
        // The sender lives until the job has ended.
        let last = status.wait_for(|status| status.state.is_ended()).await.ok().map(|status| status.clone());
        last.or_else(|| self.status(id))
    }

    /// Cancels every job and waits until they have cleaned up behind themselves.
    pub async fn stop(&self) {
        let live: Vec<JobId> = self.list().iter().filter(|job| !job.state.is_ended()).map(|job| job.job).collect();
        for id in &live {
            self.cancel(*id);
        }
        for id in live {
            self.ended(id).await;
        }
    }

    /// Tells of every object that is written from now on. A listener that falls 1024 behind is told so, and how many it
    /// missed.
    pub fn written(&self) -> broadcast::Receiver<Written> {
        self.0.written.subscribe()
    }
}

/// The status of a request whose job has no number yet.
fn queued(request: &Request) -> Status {
    let Request { source, destination, .. } = request;
    Status {
        job: JobId(0),
        state: State::Queued,
        source: Place {
            bucket: source.bucket.to_string(),
            key: source.key.clone(),
            version_id: source.version.clone(),
        },
        destination: Place { bucket: destination.bucket.to_string(), key: destination.key.clone(), version_id: None },
        manner: None,
        bytes: Progress::default(),
        parts: Progress::default(),
        objects: (request.scope == Scope::Prefix).then(|| Objects { listing: true, ..Objects::default() }),
        failures: Vec::new(),
        result: None,
        error: None,
        upload_id: None,
    }
}

impl Shared {
    async fn run(&self, id: JobId, request: Request, status: watch::Sender<Status>, cancelled: watch::Receiver<bool>) {
        let options = request.options(&self.options);
        let work = Work {
            buckets: self.buckets.clone(),
            request,
            options,
            requests: self.requests.clone(),
            written: self.written.clone(),
            status: status.clone(),
            cancelled,
        };
        let outcome = match work.unless_cancelled(self.running.acquire()).await {
            Ok(_turn) => {
                status.send_modify(|status| status.state = State::Running);
                run(&work).await
            }
            Err(stopped) => Err(stopped),
        };
        match &outcome {
            Err(Stopped::Failed(error)) => tracing::info!(job = id.0, %error, "a copy failed"),
            _ => tracing::info!(job = id.0, cancelled = outcome.is_err(), "a copy ended"),
        }
        // A client that sees the end may request the next job immediately.
        self.jobs.lock().end(id.0);
        status.send_modify(|status| match outcome {
            Ok(()) => status.state = State::Done,
            Err(Stopped::Cancelled) => status.state = State::Cancelled,
            Err(Stopped::Failed(error)) => {
                status.state = State::Failed;
                status.error = Some(Problem::from(&error));
            }
        });
    }
}

/// Does a job: one object, or all below a prefix.
async fn run(work: &Work) -> std::result::Result<(), Stopped> {
    let Request { source, destination, scope, .. } = &work.request;
    if *scope == Scope::Prefix {
        return prefix::copy(work).await;
    }
    let made = object::copy(work, source, &destination.key).await?;
    work.status.send_modify(|status| status.result = Some(made.into()));
    Ok(())
}
