"""What reaches a telephone: Twilio, Amazon SNS, Pushover, and the services of apprise."""

from __future__ import annotations

import base64
import logging
from pathlib import Path
from typing import Any

import pytest

from mirante.errors import DeliveryError
from mirante.server.http_client.model import Secret
from mirante.server.notify.channels.sigv4 import Credentials, find_credentials, sign
from tests.server.notify.receivers import RESOLVED, Got, Receiver, Reply, receiving, send, told

pytestmark = pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")  # modules that apprise imports
TITLE = "[{{ .Status }}] {{ .GroupLabels.alertname }}"


def sms_options(receiver: Receiver, **options: Any) -> dict[str, Any]:
    """What a configuration has."""
    return {
        "api_url": receiver.url, "account_sid": "AC1", "auth_token": Secret("tok"), "from": "+15005550006",
        "to": ("+4917", "+4918"), "text": TITLE, **options,
    }  # fmt: skip


def test_twilio_gets_a_form_for_each_number() -> None:
    """With basic authentication, as "Create a Message" documents."""
    with receiving() as twilio:
        twilio.reply_json({"sid": "SM1", "status": "queued"}, 201)
        assert send("sms", sms_options(twilio)) == "+4917: SM1 queued; +4918: SM1 queued"
        first, second = twilio.got
    assert first.path == "/2010-04-01/Accounts/AC1/Messages.json"
    assert first.headers["content-type"] == "application/x-www-form-urlencoded"
    assert first.headers["authorization"] == "Basic " + base64.b64encode(b"AC1:tok").decode()
    assert first.form == {"To": "+4917", "From": "+15005550006", "Body": "[firing] DiskFull"}
    assert second.form["To"] == "+4918"
    assert first.headers["idempotency-key"] != second.headers["idempotency-key"]


def test_twilio_knows_messaging_services() -> None:
    """By an id that begins with MG; texts are cut to what Twilio takes."""
    with receiving() as twilio:
        twilio.reply(Reply(201, b"{}"))
        assert send("sms", sms_options(twilio, to=("+49",), text="x" * 2000, **{"from": "MG7"})) == "+49: 201"
    assert twilio.got[0].form == {"To": "+49", "MessagingServiceSid": "MG7", "Body": "x" * 1599 + "…"}


def test_a_number_is_told_once() -> None:
    """When another one failed, a retry is for that one only."""
    with receiving() as twilio:

        def answer(got: Got) -> Reply:
            return Reply(503, b"busy", {"Retry-After": "7"}) if got.form["To"] == "+4918" else Reply(201, b"{}")

        twilio.answer = answer
        done: set[str] = set()
        with pytest.raises(DeliveryError, match=r"\+4918: unexpected status 503 busy; \+4917: 201") as failure:
            send("sms", sms_options(twilio), done=done)
        assert (failure.value.permanent, failure.value.retry_after) == (False, 7.0)
        twilio.reply(Reply(201, b"{}"))
        assert send("sms", sms_options(twilio), done=done) == "+4918: 201"
        assert send("sms", sms_options(twilio), done=done) == "every number was told before"
    assert [got.form["To"] for got in twilio.got] == ["+4917", "+4918", "+4918"]


def test_a_number_that_does_not_exist_is_no_reason_to_repeat() -> None:
    """Twilio says so by 400."""
    with receiving() as twilio:
        twilio.reply_json({"code": 21211, "message": "The 'To' number is not valid.", "status": 400}, 400)
        with pytest.raises(DeliveryError, match="21211") as failure:
            send("sms", sms_options(twilio, to=("+1",)))
    assert failure.value.permanent


def test_apprise_reaches_any_service() -> None:
    """Here a JSON endpoint, by each of the URLs, one of which is known already."""
    with receiving() as service:
        url = service.url.replace("http://", "json://")
        done = {f"{url}/known"}
        options = {
            "urls": (Secret(f"{url}/a"), Secret(f"{url}/b {url}/known")),
            "title": TITLE,
            "body": "{{ len .Alerts }}",
        }
        assert send("apprise", options, told(RESOLVED), done=done) == "json: sent; json: sent"
        assert send("apprise", options, told(RESOLVED), done=done) == "every URL was told before"
        assert [got.path for got in service.got] == ["/a", "/b"]
        body = service.got[0].json
    assert (body["title"], body["message"], body["type"]) == ("[resolved] DiskFull", "2", "success")


def test_apprise_takes_html(tmp_path: Path) -> None:
    """Its URL may stand in a file."""
    with receiving() as service:
        file = tmp_path / "url"
        file.write_text(service.url.replace("http://", "json://"))
        page = "<b>{{ .Receiver }}</b>"
        send("apprise", {"urls": (Secret(file=file),), "title": "", "body": page, "format": "html"})
        assert "team" in service.got[0].json["message"]
        file.unlink()
        with pytest.raises(DeliveryError, match="cannot be read"):
            send("apprise", {"urls": (Secret(file=file),), "body": "x"})


@pytest.mark.parametrize(("status", "permanent"), [(404, True), (429, False), (500, False)])
def test_apprise_says_why(status: int, permanent: bool) -> None:
    """Its log is all that it tells; a status of 4xx there is for good."""
    with receiving() as service:
        service.reply(Reply(status))
        with pytest.raises(DeliveryError, match=f"json: .*{status}") as failure:
            send("apprise", {"urls": (Secret(service.url.replace("http", "json")),), "body": "x"})
    assert failure.value.permanent is permanent


def test_apprise_refuses_a_url_that_it_does_not_know(caplog: pytest.LogCaptureFixture) -> None:
    """Without showing more of it than its scheme."""
    with pytest.raises(DeliveryError, match="apprise cannot use this URL of nosuch") as failure:
        send("apprise", {"urls": (Secret("nosuch://secret@x"),), "body": "x"})
    assert failure.value.permanent
    assert "secret" not in f"{failure.value}{caplog.text}"


def test_what_others_do_with_apprise_is_logged_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    """While we listen to it."""
    log = logging.getLogger("apprise")
    with receiving() as service:

        def answer(_: Got) -> Reply:
            log.warning("somebody else")
            return Reply()

        service.answer = answer
        with caplog.at_level(logging.DEBUG, "apprise"):
            send("apprise", {"urls": (Secret(service.url.replace("http", "json")),), "body": "x"})
        assert "somebody else" in caplog.messages
        assert service.url.removeprefix("http") not in caplog.text


def test_an_sms_may_go_by_apprise() -> None:
    """When it has a URL."""
    with receiving() as service:
        assert send("sms", {"url": service.url.replace("http", "json"), "text": TITLE}) == "json: sent"
    assert service.got[0].json["message"] == "[firing] DiskFull"


def test_pushover_gets_a_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within its limits; an empty message is none for Pushover."""
    options = {
        "token": Secret("t"), "user_key": Secret("u"), "title": "t" * 300, "message": " ", "url": "http://x",
        "url_title": "x", "priority": "2", "retry": 60_000, "expire": 3_600_000, "ttl": 86_400_000, "sound": "siren",
    }  # fmt: skip
    with receiving() as pushover:
        monkeypatch.setattr("mirante.server.notify.channels.pushover.URL", pushover.url)
        send("pushover", options)
        send("pushover", {**options, "html": True, "message": "<b>{{ .Receiver }}</b>", "ttl": 0})
        first, second = (got.form for got in pushover.got)
    assert first == {
        "token": "t", "user": "u", "title": "t" * 249 + "…", "message": "(no details)", "url": "http://x",
        "url_title": "x", "priority": "2", "retry": "60", "expire": "3600", "ttl": "86400", "device": "",
        "sound": "siren",
    }  # fmt: skip
    assert (second["message"], second["html"]) == ("<b>team</b>", "1")
    assert "ttl" not in second


def test_the_signature_of_amazons_test_suite() -> None:
    """Its cases ``post-vanilla`` and ``post-x-www-form-urlencoded``, with the signatures published there."""
    who = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    now = 1_440_938_160_000  # 20150830T123600Z
    url = "https://example.amazonaws.com/"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    scope = "Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"
    vanilla = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
    urlencoded = "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
    for headers, body, names, signature in (
        ({}, b"", "host;x-amz-date", vanilla),
        (form, b"Param1=value1", "content-type;host;x-amz-date", urlencoded),
    ):
        signed = sign(who, "us-east-1", "service", url, headers, body, now)
        assert signed["Authorization"] == f"AWS4-HMAC-SHA256 {scope}, SignedHeaders={names}, Signature={signature}"
        assert signed["X-Amz-Date"] == "20150830T123600Z"
    signed = sign(Credentials(*who[:2], "t"), "us-east-1", "service", url, {}, b"", now)
    assert signed["X-Amz-Security-Token"] == "t"
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token," in signed["Authorization"]


def test_credentials_come_from_the_environment_or_the_file(tmp_path: Path) -> None:
    """A profile stands in the file only."""
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id=D\naws_secret_access_key=d%\n[ops]\naws_access_key_id=O\n")
    environment = {"AWS_SHARED_CREDENTIALS_FILE": str(file)}
    keys = {"AWS_ACCESS_KEY_ID": "E", "AWS_SECRET_ACCESS_KEY": "e", "AWS_SESSION_TOKEN": "s"}
    assert find_credentials("", {**environment, **keys}) == Credentials("E", "e", "s")
    assert find_credentials("", environment) == Credentials("D", "d%")
    assert find_credentials("ops", {**environment, **keys}) == Credentials("O", "")
    assert find_credentials("", {**environment, "AWS_PROFILE": "ops"}) == Credentials("O", "")
    assert find_credentials("none", environment) is None
    assert find_credentials("", {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}) is None


def sns_options(receiver: Receiver, **options: Any) -> dict[str, Any]:
    """What a configuration has."""
    return {
        "api_url": receiver.url, "sigv4": {"region": "eu-west-1", "access_key": "A", "secret_key": Secret("s")},
        "subject": TITLE, "message": "m {{ .Receiver }}", **options,
    }  # fmt: skip


def test_sns_publishes() -> None:
    """To a topic, an endpoint or a telephone number, signed; attributes are numbered."""
    with receiving() as sns:
        sns.reply(
            Reply(200, b"<PublishResponse><PublishResult><MessageId>m-1</MessageId></PublishResult></PublishResponse>")
        )
        arn = "arn:aws:sns:eu-west-1:123456789012:ops"
        assert send("sns", sns_options(sns, topic_arn=arn, attributes={"b": "2", "a": "{{ .Status }}"})) == "m-1"
        send("sns", sns_options(sns, phone_number="+49", message="é" * 1000, subject=""))
        send("sns", sns_options(sns, target_arn="arn:x", subject="s\n" * 200))
        send("sns", sns_options(sns, topic_arn=f"{arn}.fifo"))
        topic, phone, endpoint, fifo = sns.got
    assert topic.form == {
        "Action": "Publish",
        "Version": "2010-03-31",
        "TopicArn": arn,
        "Message": "m team",
        "Subject": "[firing] DiskFull",
        "MessageAttributes.entry.1.Name": "a",
        "MessageAttributes.entry.1.Value.DataType": "String",
        "MessageAttributes.entry.1.Value.StringValue": "firing",
        "MessageAttributes.entry.2.Name": "b",
        "MessageAttributes.entry.2.Value.DataType": "String",
        "MessageAttributes.entry.2.Value.StringValue": "2",
    }
    assert topic.headers["authorization"].startswith(
        "AWS4-HMAC-SHA256 Credential=A/20231114/eu-west-1/sns/aws4_request, "
    )
    assert (phone.form["PhoneNumber"], phone.form["Message"]) == ("+49", "é" * 800)
    assert phone.form["MessageAttributes.entry.1.Name"] == "truncated"
    assert endpoint.form["Subject"] == ("s " * 50)
    assert fifo.form["MessageDeduplicationId"] == "01hf7"
    assert len(fifo.form["MessageGroupId"]) == 64


def test_sns_acts_in_a_role(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose credentials it asks for first."""
    with receiving() as sns:
        keys = b"<AccessKeyId>R</AccessKeyId><SecretAccessKey>k</SecretAccessKey><SessionToken>st</SessionToken>"
        sns.reply(Reply(200, keys), Reply(200, b"ok"), Reply(200, b"nothing"))
        sigv4 = {
            "region": "", "access_key": "A", "secret_key": "s", "role_arn": "arn:aws:iam::1:role/x", "external_id": "e",
        }  # fmt: skip
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sns.url)
        options = sns_options(sns, sigv4=sigv4, topic_arn="arn:aws:sns:eu-west-3:1:t")
        assert send("sns", options) == "200 ok"
        with pytest.raises(DeliveryError, match="no credentials of the role"):
            send("sns", options)
    role, publish, _ = sns.got
    assert role.form == {
        "Action": "AssumeRole", "Version": "2011-06-15", "RoleArn": "arn:aws:iam::1:role/x",
        "RoleSessionName": "mirante", "ExternalId": "e",
    }  # fmt: skip
    assert publish.headers["x-amz-security-token"] == "st"
    assert "Credential=R/20231114/eu-west-3/sns/" in publish.headers["authorization"]


def test_sns_without_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Says where they are looked for."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    options = {"sigv4": {}, "phone_number": "+49", "message": "m"}
    with pytest.raises(DeliveryError, match="AWS_ACCESS_KEY_ID") as failure:
        send("sns", options)
    assert failure.value.permanent
    folder = {"sigv4": {"access_key": "A", "secret_key": Secret(file=tmp_path)}}
    with pytest.raises(DeliveryError, match="cannot be read"):
        send("sns", {**options, **folder})
