//! The figures about the age of credentials.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::{Credentials, Provider};
use crate::base::{Clock, Timestamp};
use crate::metrics::{Metric, Metrics};
use crate::store::Result;

/// A provider whose credentials are noted when they change.
#[derive(Debug)]
pub(crate) struct AgeMeter {
    inner: Arc<dyn Provider>,
    metrics: Arc<Metrics>,
    clock: Clock,
    last: Mutex<Option<Arc<Credentials>>>,
}

impl AgeMeter {
    /// Notes what this provider gives.
    pub(crate) fn over(inner: Arc<dyn Provider>, metrics: Arc<Metrics>, clock: Clock) -> Arc<dyn Provider> {
        Arc::new(AgeMeter { inner, metrics, clock, last: Mutex::default() })
    }

    fn note(&self, credentials: &Arc<Credentials>) {
        let mut last = self.last.lock();
        if last.as_ref().is_some_and(|last| Arc::ptr_eq(last, credentials) || last == credentials) {
            return;
        }
        let seconds = |time: Timestamp| time.seconds.max(0) as u64;
        self.metrics.set(Metric::CredentialsObtained, seconds(self.clock.now()));
        self.metrics.set(Metric::CredentialsExpire, credentials.expires().map_or(0, seconds));
        *last = Some(credentials.clone());
    }
}

#[async_trait]
impl Provider for AgeMeter {
    async fn credentials(&self) -> Result<Arc<Credentials>> {
        let given = self.inner.credentials().await;
        match &given {
            Ok(credentials) => self.note(credentials),
            Err(_) => self.metrics.add(Metric::CredentialFailures, 1),
        }
        given
    }

    fn refused(&self) {
        self.inner.refused();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::{Error, ErrorKind};

    /// Gives what lies in it.
    #[derive(Debug, Default)]
    struct Drawer(Mutex<Option<Credentials>>);

    #[async_trait]
    impl Provider for Drawer {
        async fn credentials(&self) -> Result<Arc<Credentials>> {
            let none = || Error::new(ErrorKind::Credentials, "the drawer is empty");
            self.0.lock().clone().map(Arc::new).ok_or_else(none)
        }
    }

    #[tokio::test]
    async fn credentials_are_as_old_as_their_last_change() {
        let (metrics, clock) = (Arc::new(Metrics::default()), Clock::manual(Timestamp::from_unix(1000)));
        let drawer = Arc::new(Drawer::default());
        let counted = AgeMeter::over(drawer.clone(), metrics.clone(), clock.clone());
        let noted = || {
            [Metric::CredentialFailures, Metric::CredentialsObtained, Metric::CredentialsExpire]
                .map(|metric| metrics.value(metric))
        };
        counted.credentials().await.unwrap_err();
        assert_eq!(noted(), [1, 0, 0]);
        *drawer.0.lock() = Some(Credentials::new("a", "s").with_expiry(Some(Timestamp::from_unix(2000))));
        counted.credentials().await.unwrap();
        clock.advance(Duration::from_secs(60));
        counted.credentials().await.unwrap();
        assert_eq!(noted(), [1, 1000, 2000]);
        *drawer.0.lock() = Some(Credentials::new("b", "s"));
        counted.credentials().await.unwrap();
        assert_eq!(noted(), [1, 1060, 0]);
    }
}
