//! A store whose GETs a test can hold back, let go, and make panic.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use ossmount::base::Key;
use ossmount::store::memory::MemoryStore;
use ossmount::store::{
    GetRequest, GetResponse, HeadRequest, ListPage, ListRequest, ObjectMeta, Result, Store, Tags, VersionPage,
    VersionsRequest,
};
use tokio::sync::watch;

/// Over a store in memory: GETs of keys that hold `gated` wait until the gate is opened, those of keys that hold
/// `panic` do so.
#[derive(Debug)]
pub(crate) struct Gate {
    inner: Arc<MemoryStore>,
    open: watch::Sender<bool>,
    waiting: AtomicUsize,
}

impl Gate {
    /// A closed gate.
    pub(crate) fn over(inner: Arc<MemoryStore>) -> Arc<Gate> {
        Arc::new(Gate { inner, open: watch::Sender::new(false), waiting: AtomicUsize::new(0) })
    }

    /// Lets all through, now and later.
    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    /// Returns once a GET stands at the gate.
    pub(crate) fn wait_for_a_waiter(&self) {
        while self.waiting.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
    }
}

#[async_trait]
impl Store for Gate {
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        assert!(!request.key.as_str().contains("panic"), "as the test wants it");
        if request.key.as_str().contains("gated") {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            let mut open = self.open.subscribe();
            let _ = open.wait_for(|open| *open).await;
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
        self.inner.get(request).await
    }

    async fn head(&self, request: HeadRequest) -> Result<ObjectMeta> {
        self.inner.head(request).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        self.inner.list(request).await
    }

    async fn list_versions(&self, request: VersionsRequest) -> Result<VersionPage> {
        self.inner.list_versions(request).await
    }

    async fn symlink_target(&self, key: &Key, version: Option<&str>) -> Result<String> {
        self.inner.symlink_target(key, version).await
    }

    async fn tags(&self, key: &Key, version: Option<&str>) -> Result<Tags> {
        self.inner.tags(key, version).await
    }
}
