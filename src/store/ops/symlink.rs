//! GetSymlink: the key that a symlink object names. OSS only.

use http::Method;
use percent_encoding::percent_decode_str;

use super::meta::text;
use super::{Call, HttpStore, unfit};
use crate::base::Key;
use crate::store::{Dialect, Error, ErrorKind, Result};

impl HttpStore {
    pub(super) async fn get_symlink(&self, key: &Key) -> Result<String> {
        const OPERATION: &str = "GetSymlink";
        let named = |error: Error| error.with_operation(OPERATION).with_key(key.to_string());
        if self.options.dialect == Dialect::S3 {
            return Err(named(Error::new(ErrorKind::Unsupported, "S3 has no symlink objects")));
        }
        let call = Call::new(OPERATION, Method::GET, Some(key.as_str())).query("symlink", String::new());
        let response = self.call(call).await?;
        let target = text(&response.headers, &self.rules.header("symlink-target"))
            .ok_or_else(|| named(unfit("the answer names no target")))?;
        let target = percent_decode_str(&target).decode_utf8();
        target.map(|target| target.into_owned()).map_err(|_| named(unfit("the target's key is not UTF-8")))
    }
}
