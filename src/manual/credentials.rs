//! Who asks: where access keys come from, and how a mount outlives them.
//!
//! Keys never stand on a command line, where everybody could read them. `credentials=auto` takes the first of these
//! that is there, and the log says at the start which it was:
//!
//! 1. what an option names: `credentials-file`, `credentials-process`, `credentials-uri`, `ram-role`;
//! 2. the environment: `OSS_ACCESS_KEY_ID`, `OSS_ACCESS_KEY_SECRET`, `OSS_SESSION_TOKEN`, or
//!    `ALIBABA_CLOUD_ACCESS_KEY_ID`, `ALIBABA_CLOUD_ACCESS_KEY_SECRET`, `ALIBABA_CLOUD_SECURITY_TOKEN`; for `s3://`
//!    `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`;
//! 3. the token of a cluster (OIDC, RRSA): `oidc-token-file`, `oidc-provider-arn` and `role-arn`, or the variables that
//!    clusters set: `ALIBABA_CLOUD_OIDC_TOKEN_FILE`, `ALIBABA_CLOUD_OIDC_PROVIDER_ARN`, `ALIBABA_CLOUD_ROLE_ARN`; for
//!    `s3://` the web identity: `oidc-token-file` and `role-arn`, or `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`;
//! 4. a file of another program: `~/.aliyun/config.json` (or `ALIBABA_CLOUD_CONFIG_FILE`), `~/.ossutilconfig`,
//!    `~/.passwd-ossfs`; for `s3://` `~/.aws/credentials` (or `AWS_SHARED_CREDENTIALS_FILE`);
//! 5. a service: `ALIBABA_CLOUD_CREDENTIALS_URI`; for `s3://` that of a container,
//!    `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` or `AWS_CONTAINER_CREDENTIALS_FULL_URI` with its token;
//! 6. the RAM role of the ECS instance, on machines of Alibaba Cloud.
//!
//! Any other value of `credentials` takes that source and no other. With `role-arn` the keys found are used to take on
//! that role (AssumeRole) at `sts-endpoint`, and it is the role that asks the bucket. For `s3://` roles are taken on by
//! web identity alone, at `https://sts.REGION.amazonaws.com`: REGION is `AWS_REGION`, else that of the bucket;
//! `AWS_ENDPOINT_URL_STS` or `sts-endpoint` names another place, `AWS_ROLE_SESSION_NAME` the session.
//!
//! # Files
//!
//! `credentials-file` may be JSON as the OSS Connector reads it (`AccessKeyId`, `AccessKeySecret`, `SecurityToken`,
//! `Expiration`), the profiles of the aliyun command line, sections as ossutil and the aws command line keep them, or
//! lines `BUCKET:ID:SECRET` and `ID:SECRET` as ossfs does; `profile` chooses among profiles and sections. The profiles
//! of the aliyun command line may also be of the modes `EcsRamRole`, `RamRoleArn`, `ChainableRamRoleArn`, `OIDC`,
//! `External` and `CredentialsURI`, which then stand for the source of that name. A file is looked at once a second,
//! read again when it has changed, and warned about when others may read it. One that belongs to neither root nor the
//! user of the daemon, or that others may write to, is refused: it would have the daemon use keys, or run a program, of
//! their choice.
//!
//! Blanks and line ends around a key are left out, and in sections also quotes around it and comments (` # ...`) behind
//! it. A key with such a character within is refused where it is read, by the name of its variable, file or section.
//!
//! # Keys that end
//!
//! What a program, a service or a role hands out is kept until a quarter of its life is left (three minutes at least,
//! where it lives that long); then the next keys are asked for in the background, once, however many reads are going
//! on, a little earlier or later on each machine. The old ones serve until the new ones are there, and as long as they
//! are valid when the source fails, which is tried again every five seconds and said in the log. When the service
//! refuses a key as unknown or ended, the source is asked before the request is sent a second time.
//!
//! `Expiration` is a time (`2024-02-29T13:00:00Z`; without a zone it is UTC) or Unix seconds, as a number or a text; 0,
//! an empty text and none at all mean that the key does not end.
//!
//! A source is asked once at a time, however many requests wait, and each time has an end. A program
//! (`credentials-process`) is run by `/bin/sh -c` in a process group of its own, may take a minute and is killed with
//! all that it started after that or when the daemon ends, and prints on its standard output the JSON of a file, that
//! of the aws command line (`SecretAccessKey`, `SessionToken`), or that of the aliyun command line's external programs.
//! Services are given 2 seconds on the instance, 10 elsewhere. Secrets are overwritten in memory when they are no
//! longer used, and neither the log nor an error quotes what a source said but for its code and message.
