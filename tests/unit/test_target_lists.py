"""Lists of devices as operators write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.wire import target_lists
from shared.wire.http_fields import InvalidRequest
from shared.wire.target_lists import read_target_list

ids = st.text("abcXYZ019-:.+%_#*?!(),=@$'", min_size=1, max_size=128)


@given(st.lists(ids, min_size=1, max_size=50), st.integers(1, 60), st.sampled_from([b"\n", b"\r\n", b"\n\n"]))
def test_a_list_is_read_the_same_however_it_comes_in_pieces(devices: list[str], piece: int, ending: bytes) -> None:
    content = ending.join(device.encode() for device in devices)
    chunks = [content[start : start + piece] for start in range(0, len(content), piece)]
    assert read_target_list("spring.txt", chunks) == list(dict.fromkeys(devices))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"a\nb c\n", "targets.list: line 2 of spring.txt: 'b c' is not an IoT Hub device id"),
        (b"a\n\n" + b"x" * 129, "targets.list: line 3 of spring.txt: "),
        (b"\xef\xbb\xbfa\n", "targets.list: line 1 of spring.txt is not plain ASCII; save"),
        (b"", "targets.list: spring.txt names no device"),
        (b"\n \n", "targets.list: spring.txt names no device"),
        (b"x" * 5_000, "targets.list: spring.txt is no list of devices: it has a line of 5,000 bytes"),
    ],
)
def test_what_is_no_list_is_refused_with_the_line(content: bytes, complaint: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read_target_list("spring.txt", [content])
    assert refusal.value.message.startswith(complaint)


def test_a_list_of_more_devices_than_a_hub_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_lists, "MAX_LISTED", 3)
    assert len(read_target_list("spring.txt", [b"a\nb\nc\nc\n"])) == 3
    with pytest.raises(InvalidRequest, match="more than 3 devices"):
        read_target_list("spring.txt", [b"a\nb\nc\nd\n"])


@pytest.mark.parametrize("heading", ["device,site", "DeviceId", "device_id,ring,site", "devices"])
def test_a_heading_is_refused_with_its_line(heading: str) -> None:
    with pytest.raises(InvalidRequest, match=f"line 2 of a.txt is a heading, '{heading}'"):
        read_target_list("a.txt", [f"\n{heading}\ngw-1\n".encode()])


@pytest.mark.parametrize("device", ["device-1", "device1", "gw,1", "mydevice,1"])
def test_an_id_is_no_heading(device: str) -> None:
    assert read_target_list("a.txt", [device.encode(), b"\ndevice,site\n"]) == [device, "device,site"]
