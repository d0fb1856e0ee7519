"""Names that mean objects, and files that are named by URLs."""

import os
from pathlib import Path

import pytest

from pixperts.errors import UsageError
from pixperts.io.urls import ObjectUrl, local_name, parse_url


def test_objects_and_folders_of_them() -> None:
    assert parse_url("s3://bucket") == parse_url("S3://bucket/") == ObjectUrl("s3", "bucket")
    assert parse_url("gs://b.c-d_e/x/y/") == ObjectUrl("gs", "b.c-d_e", "x/y")
    odd = "az://c/a b/%20?#[x]*\\ü.jpg"  # stored names, which are not decoded
    assert str(parse_url(odd)) == odd
    assert parse_url("az://$web/a.jpg") == ObjectUrl("az", "$web", "a.jpg")


def test_names_of_files(here: Path) -> None:
    for name in ("a.jpg", "/a/b", "./s3/b", "s3", "c:\\a", "file:///a", "*", "-"):
        assert parse_url(name) is None
    Path("http:").mkdir()
    Path("http:/a.jpg").write_bytes(b"")
    assert parse_url("http://a.jpg") is None  # what exists is a file
    Path("s3:a.jpg").write_bytes(b"")
    assert parse_url("s3:a.jpg") is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("http://host/a.jpg", "is a URL that is not supported: use s3://"),
        ("gcs://bucket/a.jpg", "is a URL that is not supported: use s3://"),
        ("s3://", "names no bucket"),
        ("s3:///a.jpg", "names no bucket"),
        ("s3://key@bucket/a.jpg", "names no bucket"),
        ("s3://bucket:80/a.jpg", "names no bucket"),
        ("s3:/bucket/a.jpg", "as in s3://bucket/photos"),
        ("gs:bucket", "as in s3://bucket/photos"),
        ("s3://bucket//a.jpg", "empty part"),
        ("s3://bucket/a/../b.jpg", "empty part"),
        ("s3://bucket/./b.jpg", "empty part"),
    ],
)
def test_what_cannot_be_an_object(name: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_url(name)
    assert str(caught.value).startswith(name)
    assert words in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="paths of Windows have drives")
def test_urls_of_files() -> None:
    assert local_name("file:///a/b%20c.jpg") == local_name("FILE://localhost/a/b%20c.jpg")
    assert local_name("file:///a/b%20c.jpg") == "/a/b c.jpg"
    assert local_name("file:///photos/") == "/photos/"
    assert local_name("file:///photos/*.jp?#") == "/photos/*.jp?#"  # patterns stay
    assert local_name("s3://b/a%20b.jpg") == "s3://b/a%20b.jpg"
    for name in ("file://host/a.jpg", "file://a.jpg", "file://"):
        with pytest.raises(UsageError, match="write three slashes"):
            local_name(name)
