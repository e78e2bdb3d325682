//! Uploads in parts: InitiateMultipartUpload, ListParts, CompleteMultipartUpload, AbortMultipartUpload.

use http::Method;

use super::{Call, HttpStore, unfit};
use crate::base::ETag;
use crate::store::xml::{self, Tag};
use crate::store::{
    CompleteRequest, Copied, Dialect, ErrorKind, ListPartsRequest, PartPage, Result, Upload, UploadRequest,
    UploadedPart,
};

impl HttpStore {
    pub(super) async fn initiate_upload(&self, request: UploadRequest) -> Result<Upload> {
        const OPERATION: &str = "InitiateMultipartUpload";
        let UploadRequest { key, metadata, tags, storage_class, acl, overwrite } = request;
        let is_oss = self.options.dialect == Dialect::Oss;
        let call = Call::new(OPERATION, Method::POST, Some(key.as_str())).query("uploads", String::new());
        let call = self.tagged(self.described(call, metadata), &tags);
        let call = self.placed(call, storage_class, acl.filter(|_| !is_oss));
        let call = if is_oss { self.kept(call, overwrite) } else { call };
        let answer = self.told(call, &[Tag::InitiateMultipartUploadResult, Tag::UploadId]).await?;
        match answer.text {
            Some(id) => Ok(Upload { key, id }),
            None => Err(unfit("the answer has no upload id").with_operation(OPERATION).with_key(key.to_string())),
        }
    }

    pub(super) async fn complete(&self, request: CompleteRequest) -> Result<Copied> {
        let CompleteRequest { upload, parts, acl, overwrite } = request;
        let call = Call::new("CompleteMultipartUpload", Method::POST, Some(upload.key.as_str()));
        let mut call = self.kept(call.query("uploadId", upload.id.clone()), overwrite);
        if self.options.dialect == Dialect::Oss {
            call = call.header(self.acl_header(), acl);
        }
        call = call.header("content-type", "application/xml".to_owned());
        call.body = part_list(&parts).into();
        let answer = self.told(call, &[Tag::CompleteMultipartUploadResult, Tag::ETag]).await?;
        Ok(answer.copied(self))
    }

    pub(super) async fn abort(&self, upload: Upload) -> Result<()> {
        let call = Call::new("AbortMultipartUpload", Method::DELETE, Some(upload.key.as_str()));
        match self.call(call.query("uploadId", upload.id.clone())).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other.map(drop),
        }
    }

    pub(super) async fn list_parts_of(&self, request: ListPartsRequest) -> Result<PartPage> {
        const OPERATION: &str = "ListParts";
        let ListPartsRequest { upload, after } = request;
        let key = upload.key.as_str();
        let call = Call::new(OPERATION, Method::GET, Some(key))
            .query("uploadId", upload.id.clone())
            .query("max-parts", "1000".to_owned())
            .query("part-number-marker", (after > 0).then(|| after.to_string()));
        let document = self.document(call).await?;
        part_page(&document.body, after).map_err(|error| error.with_operation(OPERATION).with_key(key.to_owned()))
    }
}

/// The body of CompleteMultipartUpload.
fn part_list(parts: &[(u32, ETag)]) -> String {
    let mut text = String::from("<CompleteMultipartUpload>");
    for (number, etag) in parts {
        let etag = etag.as_str().replace('&', "&amp;").replace('<', "&lt;");
        text.push_str(&format!("<Part><PartNumber>{number}</PartNumber><ETag>\"{etag}\"</ETag></Part>"));
    }
    text.push_str("</CompleteMultipartUpload>");
    text
}

/// A page of parts with numbers above `after`.
fn part_page(body: &[u8], after: u32) -> Result<PartPage> {
    let mut parts: Vec<Option<UploadedPart>> = Vec::new();
    let (mut number, mut size, mut etag) = (None, None, None);
    let (mut truncated, mut marker, mut is_listing) = (false, None, false);
    let walked = xml::walk(body, |leaf| match leaf.path {
        [Tag::ListPartsResult, Tag::Part, Tag::PartNumber] => number = leaf.text.trim().parse::<u32>().ok(),
        [Tag::ListPartsResult, Tag::Part, Tag::Size] => size = leaf.text.trim().parse::<u64>().ok(),
        [Tag::ListPartsResult, Tag::Part, Tag::ETag] => etag = ETag::parse(leaf.text),
        [Tag::ListPartsResult, Tag::Part] => {
            let part = (number.take(), size.take(), etag.take());
            parts.push(match part {
                (Some(number), Some(size), Some(etag)) => Some(UploadedPart { number, size, etag }),
                _ => None,
            });
        }
        [Tag::ListPartsResult, Tag::IsTruncated] => truncated = leaf.text.trim() == "true",
        [Tag::ListPartsResult, Tag::NextPartNumberMarker] => marker = leaf.text.trim().parse::<u32>().ok(),
        [Tag::ListPartsResult] => is_listing = true,
        _ => {}
    });
    walked.map_err(|error| unfit(format!("the answer cannot be read: {error}")))?;
    let parts: Option<Vec<UploadedPart>> = parts.into_iter().collect();
    let parts = parts.filter(|_| is_listing).ok_or_else(|| unfit("the answer is not a list of parts"))?;
    let rises =
        |parts: &[UploadedPart]| parts.iter().try_fold(after, |last, part| (part.number > last).then_some(part.number));
    if rises(&parts).is_none() {
        return Err(unfit("the parts are not in order"));
    }
    let next = truncated.then(|| marker.or(parts.last().map(|part| part.number))).flatten();
    match next {
        // It would be asked for without end.
        Some(next) if next <= after => Err(unfit("the list of parts repeats itself")),
        next => Ok(PartPage { parts, next }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named_with_their_tags_in_quotes() {
        let parts = [(1, ETag::parse("\"A<&\"").unwrap()), (3, ETag::parse("B").unwrap())];
        expect_test::expect![[r#"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"A&lt;&amp;"</ETag></Part><Part><PartNumber>3</PartNumber><ETag>"B"</ETag></Part></CompleteMultipartUpload>"#]]
            .assert_eq(&part_list(&parts));
    }

    fn listed(inner: &str) -> Result<PartPage> {
        part_page(format!("<ListPartsResult>{inner}</ListPartsResult>").as_bytes(), 2)
    }

    #[test]
    fn pages_of_parts_are_read_and_odd_ones_refused() {
        let part =
            |number: u32| format!("<Part><PartNumber>{number}</PartNumber><Size>5</Size><ETag>\"e\"</ETag></Part>");
        let page = listed(&format!("<IsTruncated>true</IsTruncated>{}{}", part(3), part(7))).unwrap();
        assert_eq!(page.next, Some(7));
        let expected = UploadedPart { number: 7, size: 5, etag: ETag::parse("e").unwrap() };
        assert_eq!(page.parts[1], expected);
        assert_eq!(listed("").unwrap(), PartPage::default());
        for odd in [
            part(2),
            format!("{}{}", part(4), part(4)),
            "<Part><PartNumber>3</PartNumber></Part>".to_owned(),
            "<IsTruncated>true</IsTruncated><NextPartNumberMarker>2</NextPartNumberMarker>".to_owned(),
            "</ListPartsResult>".to_owned(),
        ] {
            assert_eq!(listed(&odd).unwrap_err().kind(), ErrorKind::Protocol, "{odd}");
        }
        assert_eq!(part_page(b"<Other/>", 0).unwrap_err().kind(), ErrorKind::Protocol);
    }
}
