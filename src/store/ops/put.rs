//! PutObject.

use std::time::Duration;

use http::Method;

use super::meta::object_meta;
use super::{Call, HttpStore};
use crate::store::{Error, ErrorKind, ObjectMeta, PutRequest, Result};

/// A connection slower than this is as good as none.
const SLOWEST_BYTES_PER_SECOND: u64 = 32 << 10;

impl HttpStore {
    pub(super) async fn put_object(&self, request: PutRequest) -> Result<ObjectMeta> {
        let PutRequest { key, body, content_type, user } = request;
        let size = body.len() as u64;
        let mut call = Call::new("PutObject", Method::PUT, Some(key.as_str())).header("content-type", content_type);
        for (name, value) in user {
            call = call.header(self.rules.header(&format!("meta-{}", name.to_ascii_lowercase())), value);
        }
        call.body = body;
        let limit = self.options.timeouts.first_byte + Duration::from_secs(size / SLOWEST_BYTES_PER_SECOND);
        let response = tokio::time::timeout(limit, self.call(call)).await.unwrap_or_else(|_| {
            let message = format!("the object was not stored within {} s", limit.as_secs());
            Err(Error::new(ErrorKind::Timeout, message).with_operation("PutObject").with_key(key.to_string()))
        })?;
        Ok(object_meta(self.rules, &response.headers, size))
    }
}
