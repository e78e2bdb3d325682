//! Builds the store of a mount: the HTTP implementation with its layers over it.

use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::credentials::Provider;
use super::layers::{
    Door, LayerOptions, MakeDoor, Near, NearMember, NearOptions, NearSource, Rate, Stall, by_machine, layered,
};
use super::ops::{Token, Via};
use super::{Dialect, Error, ErrorKind, HttpStore, Options, Result, Store, StoreMut, reached};
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
    let max_bandwidth = Rate::new(options.max_bandwidth);
    let layers = LayerOptions {
        retry: options.retry.clone(),
        connections: options.connections.clone(),
        max_bandwidth: max_bandwidth.clone(),
        first_byte: options.timeouts.first_byte,
        stall: options.timeouts.stall,
    };
    let near = options.near.clone();
    let bucket = Arc::new(HttpStore::new(options.clone(), clock.clone())?.counting(&metrics));
    let (endpoint, provider) = (bucket.endpoint(), bucket.provider());
    let layered = layered(bucket.clone(), &layers, &metrics, &clock);
    let store: Arc<dyn Store> = match &near {
        Some(near) => {
            let make = members(near, options, bucket, &metrics, &clock)?;
            Arc::new(Near::new(layered.clone(), near, make, Box::new(by_machine), metrics, clock))
        }
        None => layered.clone(),
    };
    Ok(Connected { store, mutable: layered, max_bandwidth, endpoint, provider })
}

/// How the stores are made that ask near caches.
fn members(
    near: &NearOptions,
    options: Options,
    bucket: Arc<HttpStore>,
    metrics: &Arc<Metrics>,
    clock: &Clock,
) -> Result<Box<MakeDoor>> {
    let (stall, clock) = (options.timeouts.first_byte, clock.clone());
    if let NearSource::Accelerator(endpoint) = &near.source {
        let accelerator = HttpStore::new(accelerated(options, endpoint.as_deref())?, clock)?;
        let store: Arc<dyn Store> = Arc::new(Stall::new(Arc::new(accelerator), stall, stall));
        return Ok(Box::new(move |_, _| Ok(Door { store: store.clone(), ping: None })));
    }
    let token = near.token_file.clone().map(|path| Token::read(path, clock.clone())).transpose()?;
    let (near, metrics) = (near.clone(), metrics.clone());
    let uses_tls = near.source.uses_tls();
    let make = move |member: &NearMember, address: Option<SocketAddr>| -> Result<Door> {
        let via = Via { authority: member.authority.clone(), token: token.clone(), metrics: metrics.clone() };
        let member = bucket.through(via, member.tls, address.map(|address| address.ip()), &near)?;
        let member = Arc::new(member);
        let pinged = member.clone();
        let ping = move || -> BoxFuture<'static, bool> {
            let pinged = pinged.clone();
            Box::pin(async move { pinged.is_alive().await })
        };
        Ok(Door { store: Arc::new(Stall::new(member, stall, stall)), ping: Some(Box::new(ping)) })
    };
    // Certificates that cannot be read are told at once.
    make(&NearMember { tls: uses_tls, authority: "near".to_owned() }, None)?;
    Ok(Box::new(make))
}

/// The same bucket at an accelerator, which speaks its protocol: at this endpoint, or at that of the region.
fn accelerated(options: Options, endpoint: Option<&str>) -> Result<Options> {
    let region = reached(&options)?.region;
    if endpoint.is_none() && (options.dialect != Dialect::Oss || region.is_empty()) {
        let message = "near=accelerator needs a bucket of OSS whose region is known; write near=accelerator:HOST, or set \
                       region";
        return Err(Error::new(ErrorKind::Invalid, message));
    }
    let regional = || format!("https://{region}-internal.oss-data-acc.aliyuncs.com");
    let endpoint = Some(endpoint.map_or_else(regional, str::to_owned));
    let region = Some(region).filter(|region| !region.is_empty());
    Ok(Options { endpoint, region, internal: false, accelerate: false, dual_stack: false, near: None, ..options })
}
