//! GetSymlink: the key that a symlink object names; empty where it names none. OSS only.

use http::Method;
use percent_encoding::percent_decode_str;

use super::meta::text;
use super::{Call, HttpStore};
use crate::base::Key;
use crate::store::{Dialect, Error, ErrorKind, Result};

impl HttpStore {
    pub(super) async fn get_symlink(&self, key: &Key, version: Option<&str>) -> Result<String> {
        const OPERATION: &str = "GetSymlink";
        let named = |error: Error| error.with_operation(OPERATION).with_key(key.to_string());
        if self.options.dialect == Dialect::S3 {
            return Err(named(Error::new(ErrorKind::Unsupported, "S3 has no symlink objects")));
        }
        let call = Call::new(OPERATION, Method::GET, Some(key.as_str()))
            .query("symlink", String::new())
            .query("versionId", version.map(str::to_owned));
        let response = self.call(call).await?;
        let target = text(&response.headers, &self.rules.header("symlink-target")).unwrap_or_default();
        // What is no key at all names nothing, as an empty target does.
        Ok(percent_decode_str(&target).decode_utf8().unwrap_or_default().into_owned())
    }
}
