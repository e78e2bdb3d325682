//! HeadObject.

use http::Method;

use super::meta::{http_time, object_meta};
use super::{Call, HttpStore, unfit};
use crate::base::{Key, Timestamp};
use crate::store::{HeadRequest, ListEntry, ListRequest, ObjectKind, ObjectMeta, Result};

impl HttpStore {
    pub(super) async fn head_object(&self, request: HeadRequest) -> Result<ObjectMeta> {
        const OPERATION: &str = "HeadObject";
        let HeadRequest { key, version } = request;
        let is_current = version.is_none();
        let call = Call::new(OPERATION, Method::HEAD, Some(key.as_str())).query("versionId", version.clone());
        let response = self.call(call).await;
        let response = response.map_err(|error| self.lacks_version(error, version.as_deref()))?;
        let size = match response.length {
            // Some servers leave a length of zero out, and some every length.
            None if is_current => self.listed_size(&key, http_time(&response.headers, "last-modified")).await?,
            length => length,
        };
        let lacking = "the answer has no Content-Length, and the object's size is not listed";
        let size = size.ok_or_else(|| unfit(lacking).with_operation(OPERATION).with_key(key.to_string()))?;
        Ok(object_meta(self.rules, &response.headers, size))
    }

    /// The size that a listing tells of an object of this time. Of the keys that begin like its own, that is the first.
    async fn listed_size(&self, key: &Key, time: Option<Timestamp>) -> Result<Option<u64>> {
        let prefix = key.as_str().to_owned();
        let page = self.list_objects(ListRequest { prefix, max_keys: 1, ..ListRequest::default() }).await?;
        let is_it = |entry: &&ListEntry| {
            let times = entry.last_modified.zip(time);
            entry.key == key.as_str()
                && entry.kind != ObjectKind::Symlink
                && times.is_none_or(|(listed, told)| listed.seconds == told.seconds)
        };
        Ok(page.entries.iter().find(is_it).map(|entry| entry.size))
    }
}
