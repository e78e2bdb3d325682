//! HeadObject.

use http::Method;

use super::meta::{number, object_meta};
use super::{Call, HttpStore, unfit};
use crate::store::{HeadRequest, ObjectMeta, Result};

impl HttpStore {
    pub(super) async fn head_object(&self, request: HeadRequest) -> Result<ObjectMeta> {
        const OPERATION: &str = "HeadObject";
        let key = request.key.as_str();
        let call = Call::new(OPERATION, Method::HEAD, Some(key)).query("versionId", request.version);
        let response = self.call(call).await?;
        let size = number(&response.headers, "content-length")
            .ok_or_else(|| unfit("the answer tells no size").with_operation(OPERATION).with_key(key.to_owned()))?;
        Ok(object_meta(self.rules, &response.headers, size))
    }
}
