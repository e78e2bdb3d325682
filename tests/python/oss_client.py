"""The official client `alibabacloud-oss-v2`: how the tests make one, and its calls in few words."""

import alibabacloud_oss_v2 as oss
import pytest


def client_of(server, secret=None, token=None, **options):
    """The official client, as a user would make it."""
    config = oss.config.load_default()
    config.credentials_provider = oss.credentials.StaticCredentialsProvider(
        server.access_key_id, secret or server.access_key_secret, token or server.security_token
    )
    config.region = server.region
    config.endpoint = server.endpoint
    for name, value in options.items():
        setattr(config, name, value)
    return oss.Client(config)


def put(client, bucket, key, body, **fields):
    return client.put_object(oss.PutObjectRequest(bucket=bucket, key=key, body=body, **fields))


def get(client, bucket, key, **fields):
    return client.get_object(oss.GetObjectRequest(bucket=bucket, key=key, **fields))


def body_of(client, bucket, key, **fields):
    return get(client, bucket, key, **fields).body.content


def refusal(call, *arguments, **fields):
    """The service's error behind the client's."""
    with pytest.raises(oss.exceptions.OperationError) as caught:
        call(*arguments, **fields)
    error = caught.value.unwrap()
    assert isinstance(error, oss.exceptions.ServiceError), error
    return error
