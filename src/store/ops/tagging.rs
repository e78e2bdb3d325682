//! GetObjectTagging.

use http::Method;

use super::{Call, HttpStore, unfit};
use crate::base::Key;
use crate::store::xml::{self, Tag};
use crate::store::{Result, Tags};

impl HttpStore {
    pub(super) async fn object_tagging(&self, key: &Key, version: Option<&str>) -> Result<Tags> {
        const OPERATION: &str = "GetObjectTagging";
        let call = Call::new(OPERATION, Method::GET, Some(key.as_str()))
            .query("tagging", String::new())
            .query("versionId", version.map(str::to_owned));
        let document = self.document(call).await?;
        tags(&document.body).map_err(|error| error.with_operation(OPERATION).with_key(key.to_string()))
    }
}

fn tags(body: &[u8]) -> Result<Tags> {
    let mut tags = Tags::new();
    let (mut name, mut value, mut is_tagging) = (None, String::new(), false);
    let walked = xml::walk(body, |leaf| match leaf.path {
        // Blanks belong to them.
        [Tag::Tagging, Tag::TagSet, Tag::Tag, Tag::Key] => name = Some(leaf.text.to_owned()),
        [Tag::Tagging, Tag::TagSet, Tag::Tag, Tag::Value] => leaf.text.clone_into(&mut value),
        [Tag::Tagging, Tag::TagSet, Tag::Tag] => {
            tags.extend(name.take().map(|name| (name, std::mem::take(&mut value))));
        }
        [Tag::Tagging] => is_tagging = true,
        _ => {}
    });
    walked.map_err(|error| unfit(format!("the answer cannot be read: {error}")))?;
    if is_tagging { Ok(tags) } else { Err(unfit("the answer holds no tags")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ErrorKind;

    #[test]
    fn tags_are_read_as_they_are() {
        let document = "<Tagging><TagSet><Tag><Key>a &amp;=</Key><Value> 照 </Value></Tag><Tag><Key>b</Key></Tag>\
                        </TagSet></Tagging>";
        let expected = [("a &=".to_owned(), " 照 ".to_owned()), ("b".to_owned(), String::new())];
        assert_eq!(tags(document.as_bytes()).unwrap(), expected);
        assert_eq!(tags(b"<Tagging><TagSet/></Tagging>").unwrap(), []);
        for odd in ["", "<Other/>", "<Tagging>"] {
            assert_eq!(tags(odd.as_bytes()).unwrap_err().kind(), ErrorKind::Protocol, "{odd}");
        }
    }
}
