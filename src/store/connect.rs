//! Puts a store together: the HTTP implementation with its layers over it.

use std::sync::Arc;

use super::{Error, ErrorKind, Options, Result, Store, StoreMut};
use crate::base::Clock;
use crate::metrics::Metrics;

/// A bucket ready for use. Nothing has been sent yet.
#[derive(Debug)]
pub struct Connected {
    /// Reading, through all layers.
    pub store: Arc<dyn Store>,
    /// Changing, through the same limits.
    pub mutable: Arc<dyn StoreMut>,
    /// Where requests go, for messages: scheme and authority.
    pub endpoint: String,
}

/// Checks the options and builds the store with its layers. Must be called in a Tokio runtime; sends nothing.
///
/// Fails with [`ErrorKind::Invalid`] and one sentence that says what to change.
pub fn connect(options: Options, metrics: Arc<Metrics>, clock: Clock) -> Result<Connected> {
    let (_, _, _) = (options, metrics, clock);
    Err(Error::new(ErrorKind::Unsupported, "no store is built in"))
}
