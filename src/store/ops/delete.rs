//! DeleteObject.

use http::Method;

use super::{Call, HttpStore};
use crate::store::{DeleteRequest, ErrorKind, Result};

impl HttpStore {
    pub(super) async fn delete_object(&self, request: DeleteRequest) -> Result<()> {
        let call = Call::new("DeleteObject", Method::DELETE, Some(request.key.as_str()));
        match self.call(call.query("versionId", request.version)).await {
            // Some servers say that there was nothing to delete.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other.map(|_| ()),
        }
    }
}
