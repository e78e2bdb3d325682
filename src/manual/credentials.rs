//! Credentials: choose a source of access keys, and keep a mount working when keys expire.
//!
//! No option takes a key, because other users can read a command line. `credentials=auto` uses the first of these
//! sources that exists, and the log names it at the start:
//!
//! 1. the source that an option names: `credentials-file`, `credentials-process`, `credentials-uri`, `ram-role`;
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
//! Any other value of `credentials` uses that source alone. With `role-arn` the keys are used to assume that role
//! (AssumeRole) at `sts-endpoint`, and the keys of the role are used for the bucket. For `s3://` roles can be assumed
//! only by web identity, at `https://sts.REGION.amazonaws.com`. REGION is `AWS_REGION`, or else the region of the
//! bucket; `AWS_ENDPOINT_URL_STS` or `sts-endpoint` sets another endpoint, and `AWS_ROLE_SESSION_NAME` the name of the
//! session.
//!
//! # Files
//!
//! `credentials-file` accepts four formats:
//!
//! | format | content |
//! |---|---|
//! | JSON, as for the OSS Connector | `AccessKeyId`, `AccessKeySecret`, and for temporary keys `SecurityToken` and `Expiration` |
//! | profiles of the aliyun command line | keys, or one of the modes `EcsRamRole`, `RamRoleArn`, `ChainableRamRoleArn`, `OIDC`, `External` and `CredentialsURI`, which select the source of that name |
//! | sections of ossutil or the aws command line | keys |
//! | lines, as for ossfs | `BUCKET:ID:SECRET` or `ID:SECRET` |
//!
//! `profile` selects a profile or section. The daemon checks the file once a second and reads it again when it has
//! changed. It warns if other users can read the file. It refuses a file that belongs to neither root nor the user of
//! the daemon, or that other users can write to, because such a file could make the daemon use foreign keys or run a
//! program.
//!
//! Blanks and line ends around a key are removed, and in sections also quotes around it and comments (` # ...`) behind
//! it. A key that contains such a character is refused with the name of its variable, file or section.
//!
//! # Keys that expire
//!
//! Keys from a program, a service or a role are renewed in the background when a quarter of their lifetime is left, and
//! at least three minutes before they expire if they live that long. The moment varies a little between machines. The
//! old keys are used until the new ones arrive. If the source fails, it is asked again every five seconds, the log says
//! so, and the old keys are used while they are valid. When the service rejects a key as unknown or expired, the source
//! is asked before the request is repeated.
//!
//! `Expiration` is a time (`2024-02-29T13:00:00Z`; UTC if no zone is given) or Unix seconds, as a number or a string.
//! 0, an empty string or a missing field means that the key does not expire.
//!
//! A source is asked by one request at a time, however many reads wait for keys:
//!
//! | source | time limit | details |
//! |---|---|---|
//! | `credentials-process` | 60 s | Runs under `/bin/sh -c` in its own process group, which is killed at the limit and when `ossmount` ends or is killed. It prints JSON as in a file, or as external programs do for the aws command line (`SecretAccessKey`, `SessionToken`) or the aliyun command line. |
//! | metadata service of the instance | 2 s | |
//! | other services | 10 s | |
//!
//! Secrets are overwritten in memory when they are no longer used. Logs and errors quote only the code and message of
//! what a source answers.
