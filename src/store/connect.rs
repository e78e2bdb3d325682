//! Builds the store of a mount: the HTTP implementation with its layers over it.

use std::sync::Arc;

use super::credentials::Provider;
use super::layers::{LayerOptions, Rate, layered};
use super::{Error, ErrorKind, HttpStore, Options, Result, Store, StoreMut};
use crate::base::Clock;
use crate::metrics::Metrics;

/// A bucket ready for use. Nothing has been sent yet.
#[derive(Debug)]
pub struct Connected {
    /// Reading, through all layers.
    pub store: Arc<dyn Store>,
    /// Changing, through the same limits.
    pub mutable: Arc<dyn StoreMut>,
    /// Bytes of bodies per second, at most, while it lives.
    pub max_bandwidth: Rate,
    /// Where requests go, for messages: scheme and authority.
    pub endpoint: String,
    provider: Option<Arc<dyn Provider>>,
}

impl Connected {
    /// The same with another store for reading, which keeps to this bandwidth.
    pub(super) fn reading(self, store: Arc<dyn Store>, max_bandwidth: Rate) -> Connected {
        Connected { store, max_bandwidth, ..self }
    }

    /// Waits until there are credentials, for as long as their source takes: that is no time of the service's. Fails
    /// with [`ErrorKind::Credentials`] and a sentence that names the source.
    pub async fn credentials_there(&self) -> Result<()> {
        match &self.provider {
            Some(provider) => provider.credentials().await.map(drop),
            None => Ok(()),
        }
    }
}

/// Checks the options and builds the store with its layers. Must be called in a Tokio runtime; sends nothing.
///
/// Fails with [`ErrorKind::Invalid`] and one sentence that says what to change.
pub fn connect(options: Options, metrics: Arc<Metrics>, clock: Clock) -> Result<Connected> {
    if options.max_connections == 0 {
        return Err(Error::new(ErrorKind::Invalid, "max-connections is 0; set it to 1 or more"));
    }
    let max_bandwidth = Rate::new(options.max_bandwidth);
    let layers = LayerOptions {
        retry: options.retry.clone(),
        max_in_flight: options.max_connections,
        max_bandwidth: max_bandwidth.clone(),
        first_byte: options.timeouts.first_byte,
        stall: options.timeouts.stall,
    };
    let store = HttpStore::new(options, clock.clone())?.counting(&metrics);
    let (endpoint, provider) = (store.endpoint(), store.provider());
    let store = layered(Arc::new(store), &layers, &metrics, &clock);
    Ok(Connected { store: store.clone(), mutable: store, max_bandwidth, endpoint, provider })
}
