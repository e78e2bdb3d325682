//! The operations of the protocol, as counters and faults name them.

use std::fmt;
use std::str::FromStr;

macro_rules! operations {
    ($($name:ident: $what:literal,)*) => {
        /// One operation of the protocol, named as the vendor's documentation names it.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Operation {
            $(#[doc = $what] $name,)*
        }

        impl Operation {
            /// Every operation, in the order of the counters.
            pub const ALL: &[Operation] = &[$(Operation::$name,)*];

            /// The name, as in `GetObject`.
            pub fn name(self) -> &'static str {
                match self { $(Operation::$name => stringify!($name),)* }
            }
        }
    };
}

operations! {
    AbortMultipartUpload: "Forgets an upload.",
    AppendObject: "Adds to the end of an object (OSS).",
    CompleteMultipartUpload: "Makes an object of parts.",
    CopyObject: "Copies an object within the service.",
    DeleteBucket: "Removes an empty bucket.",
    DeleteMultipleObjects: "Deletes up to 1000 keys.",
    DeleteObject: "Deletes one key or version.",
    DeleteObjectTagging: "Removes the tags of an object.",
    GetBucketAcl: "Tells who may read a bucket.",
    GetBucketInfo: "Describes a bucket (OSS).",
    GetBucketLocation: "Tells the region of a bucket.",
    GetBucketStat: "Sizes of a bucket (OSS).",
    GetBucketVersioning: "Tells whether versions are kept.",
    GetObject: "Reads an object or a range of it.",
    GetObjectAcl: "Tells who may read an object.",
    GetObjectMeta: "The cheap form of HeadObject (OSS).",
    GetObjectTagging: "Reads the tags of an object.",
    GetSymlink: "Reads the target of a symlink object (OSS).",
    HeadBucket: "Asks whether a bucket exists (S3).",
    HeadObject: "The headers of an object.",
    InitiateMultipartUpload: "Begins an upload in parts.",
    ListBuckets: "Lists the buckets of the account.",
    ListMultipartUploads: "Lists uploads not yet completed.",
    ListObjectVersions: "Lists versions and delete markers.",
    ListObjects: "Lists objects, first form.",
    ListObjectsV2: "Lists objects, second form.",
    ListParts: "Lists the parts of an upload.",
    PutBucket: "Creates a bucket.",
    PutBucketVersioning: "Switches the keeping of versions.",
    PutObject: "Writes an object.",
    PutObjectAcl: "Changes who may read an object.",
    PutObjectTagging: "Replaces the tags of an object.",
    PutSymlink: "Writes a symlink object (OSS).",
    RestoreObject: "Makes an archived object readable.",
    UploadPart: "Sends one part.",
    UploadPartCopy: "Takes one part from another object.",
    Unknown: "A request that is none of the others.",
}

impl Operation {
    /// Whether it changes nothing.
    pub(super) fn only_reads(self) -> bool {
        let name = self.name();
        name.starts_with("Get") || name.starts_with("Head") || name.starts_with("List")
    }

    /// Whether the answer is a page of a listing, which `Shaping::page_time` delays.
    pub fn is_listing(self) -> bool {
        matches!(
            self,
            Operation::ListObjects
                | Operation::ListObjectsV2
                | Operation::ListObjectVersions
                | Operation::ListMultipartUploads
                | Operation::ListParts
                | Operation::ListBuckets
        )
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Operation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Operation::ALL.iter().find(|operation| operation.name().eq_ignore_ascii_case(text));
        found.copied().ok_or_else(|| format!("{text:?} is not an operation; write a name such as GetObject"))
    }
}
