//! The time limit of a single try: to the answer, and from one chunk of a body to the next.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use tokio::time::timeout;

use crate::store::{
    Body, DeleteRequest, Error, ErrorKind, GetRequest, GetResponse, HeadRequest, ListPage, ListRequest, ObjectMeta,
    PutRequest, Result, Store, StoreMut,
};

/// Fails with [`ErrorKind::Timeout`] when nothing arrives for a while. A body counts only while somebody waits for
/// its next chunk: a slow reader is no stall.
#[derive(Debug)]
pub struct Stall<S: ?Sized = dyn Store> {
    inner: Arc<S>,
    answer: Duration,
    chunk: Duration,
}

impl<S: ?Sized> Stall<S> {
    /// Allows this long for the answer to come, and this long from one chunk of a body to the next.
    pub fn new(inner: Arc<S>, answer: Duration, chunk: Duration) -> Self {
        Stall { inner, answer, chunk }
    }

    async fn answered<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        timeout(self.answer, call).await.unwrap_or_else(|_| Err(stalled(self.answer)))
    }
}

fn stalled(limit: Duration) -> Error {
    Error::new(ErrorKind::Timeout, format!("nothing arrived for {:.1} s", limit.as_secs_f64()))
}

/// The same body, ending in an error when its next chunk takes too long.
fn watched(body: Body, limit: Duration) -> Body {
    stream::unfold(Some(body), move |body| async move {
        let mut body = body?;
        match timeout(limit, body.next()).await {
            Ok(None) => None,
            Ok(Some(chunk)) => Some((chunk, Some(body))),
            Err(_) => Some((Err(stalled(limit)), None)),
        }
    })
    .boxed()
}

#[async_trait]
impl<S: Store + ?Sized> Store for Stall<S> {
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        let response = self.answered(self.inner.get(request)).await?;
        Ok(GetResponse { body: watched(response.body, self.chunk), ..response })
    }

    async fn head(&self, request: HeadRequest) -> Result<ObjectMeta> {
        self.answered(self.inner.head(request)).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        self.answered(self.inner.list(request)).await
    }
}

/// What is sent may take longer than any answer: only the network's own limits apply.
#[async_trait]
impl<S: StoreMut + ?Sized> StoreMut for Stall<S> {
    async fn put(&self, request: PutRequest) -> Result<ObjectMeta> {
        self.inner.put(request).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        self.answered(self.inner.delete(request)).await
    }
}
