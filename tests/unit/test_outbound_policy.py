"""What a URL and an address show by themselves: refused hosts, networks, schemes and ports, and the allow-list."""

from ipaddress import ip_address

import pytest

from core.outbound import OutboundError, OutboundPolicy, check_url, checked_addresses
from core.outbound_policy import embedded_addresses
from tests.unit.outbound_peers import Resolver

NOTHING_ALLOWED = OutboundPolicy()


def refusal(url: str, policy: OutboundPolicy = NOTHING_ALLOWED) -> str:
    with pytest.raises(OutboundError) as caught:
        check_url(url, policy)
    assert caught.value.permanent
    return caught.value.kind


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "http://example.com:8080/a/b?c=d&e=%20#part",
        "https://xn--bcher-kva.example/",
        "https://my_service.example./path",
        "https://93.184.216.34/",
        "https://[2606:2800:220:1:248:1893:25c8:1946]:8443/",
        "https://example.com/straße?q=ü",
        "HTTPS://EXAMPLE.com:443",
        "https://1.2.3.4.example.com/",
        "https://example.com/@user/a:b@c",
    ],
)
def test_public_url_passes(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "api.localhost",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7F.1",
        "0177.0.0.1",
        "127.0.0.0x1",
        "127.0.0.1.",
        "127.000.000.001",
        "127.0.0.1.nip.io",
        "app.10.0.0.1.sslip.io",
        "999.0.0.1",
    ],
)
def test_s1_host_of_this_machine_is_refused_in_any_spelling(host: str) -> None:
    assert refusal(f"http://{host}/") == "refused"


@pytest.mark.parametrize(
    "host", ["①②⑦.⓪.⓪.①", "127。0。0。1", "１２７.0.0.1", "аpple.com", "ⓛocalhost", "bücher.example"]
)
def test_host_outside_ascii_is_not_valid(host: str) -> None:
    assert refusal(f"http://{host}/") == "invalid_url"


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.170.2",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "metadata",
        "metadata.google.internal",
        "Metadata.Google.Internal.",
        "metadata.goog",
        "instance-data",
    ],
)
def test_s2_metadata_service_is_refused(host: str) -> None:
    assert refusal(f"http://{host}/latest/meta-data/") == "refused"


@pytest.mark.parametrize(
    "address",
    [
        *("10.0.0.0", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "100.127.255.255"),
        *("192.0.0.1", "192.0.0.9", "192.0.2.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.7"),
        *("224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "0.1.2.3", "127.255.255.254", "192.88.99.1"),
        *("fc00::1", "fdff::1", "fe80::1", "febf::1", "fec0::1", "ff02::1", "100::1", "5f00::1", "::2", "2001:db8::1"),
        *("::ffff:8.8.8.8", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1", "::127.0.0.1", "64:ff9b::8.8.8.8"),
        *("64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2002:808:808::1", "2001:0:4136:e378::", "2001:2::1"),
        *("2001:10::1", "2001:20::1", "3fff::1", "4000::1"),
    ],
)
def test_s3_special_address_is_refused_as_literal_and_as_answer(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    assert refusal(f"https://{host}/") == "refused"
    assert not NOTHING_ALLOWED.permits_address("name.example", 443, ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "100.63.255.255", "100.128.0.0", "192.0.1.0"),
        *("198.17.255.255", "198.20.0.0", "223.255.255.255", "168.63.129.17", "2001:200::1", "2606:4700::1"),
    ],
)
def test_neighbour_of_a_refused_network_is_allowed(address: str) -> None:
    assert NOTHING_ALLOWED.permits_address("name.example", 443, ip_address(address))


@pytest.mark.parametrize(
    ("address", "carried"),
    [
        ("::ffff:10.0.0.1", ("10.0.0.1",)),
        ("::10.0.0.1", ("10.0.0.1",)),
        ("::ffff:0:10.0.0.1", ("10.0.0.1",)),
        ("64:ff9b::a00:1", ("10.0.0.1",)),
        ("2002:a00:1::5", ("10.0.0.1",)),
        ("2001:0:7f00:1:0:0:f5ff:fffe", ("127.0.0.1", "10.0.0.1")),
        ("2606:4700::1", ()),
        ("8.8.8.8", ()),
    ],
)
def test_carried_ipv4_addresses_are_found(address: str, carried: tuple[str, ...]) -> None:
    assert tuple(str(each) for each in embedded_addresses(ip_address(address))) == carried


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("file:///etc/passwd", "refused"),
        ("gopher://example.com/", "refused"),
        ("ftp://example.com/", "refused"),
        ("unix:/var/run/docker.sock", "refused"),
        ("data:text/plain,x", "refused"),
        ("http+unix://%2Fvar%2Frun%2Fdocker.sock/", "refused"),
        ("javascript:alert(1)", "refused"),
        ("localhost:8080/", "refused"),
        ("http://good@127.0.0.1/", "refused"),
        ("https://user:pass@example.com/", "refused"),
        ("http://@example.com/", "refused"),
        ("http://127.0.0.1#@good.example/", "refused"),
        ("http://127.0.0.1?@good.example/", "refused"),
        ("http://good.example\\@127.0.0.1/", "invalid_url"),
        ("http:\\\\127.0.0.1", "invalid_url"),
        ("http://exa\tmple.com/", "invalid_url"),
        ("http://example.com/\r\nHost: x", "invalid_url"),
        (" http://example.com/", "invalid_url"),
        ("http://example.com/a b", "invalid_url"),
        ("http://example.com/\u200b", "invalid_url"),
        ("http://example.com/\ud800", "invalid_url"),
        ("http://example.com/\x00", "invalid_url"),
        ("http://%31%32%37.0.0.1/", "invalid_url"),
        ("http://[fe80::1%25eth0]/", "invalid_url"),
        ("http://[::1", "invalid_url"),
        ("http://[127.0.0.1]/", "invalid_url"),
        ("http://a..b/", "invalid_url"),
        ("http://-a.example/", "invalid_url"),
        ("http://" + "a" * 64 + ".example/", "invalid_url"),
        ("http://" + "a." * 130 + "example/", "invalid_url"),
        ("http://example.com:0/", "invalid_url"),
        ("http://example.com:65536/", "invalid_url"),
        ("http://example.com:8o/", "invalid_url"),
        ("http://example.com:80:80/", "invalid_url"),
        ("http:///path", "invalid_url"),
        ("http:127.0.0.1", "invalid_url"),
        ("http:/127.0.0.1", "invalid_url"),
        ("//example.com/", "invalid_url"),
        ("invalid-url", "invalid_url"),
        ("", "invalid_url"),
        ("http://example.com/" + "a" * 8192, "invalid_url"),
    ],
)
def test_s6_url_that_tries_something_else_is_refused(url: str, kind: str) -> None:
    assert refusal(url) == kind


@pytest.mark.parametrize("port", [22, 23, 25, 53, 110, 445, 3306, 5432, 6379, 9042, 11211, 27017])
def test_s6_port_of_another_protocol_is_refused(port: int) -> None:
    assert refusal(f"http://example.com:{port}/") == "refused"


@pytest.mark.parametrize("port", [80, 443, 3000, 8000, 8080, 8443, 9200, 65535])
def test_port_where_http_is_usual_passes(port: int) -> None:
    check_url(f"http://example.com:{port}/")


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("127.0.0.0/8", "http://127.0.0.1/"),
        ("127.0.0.1/32", "http://127.0.0.1:8123/"),
        ("127.0.0.1", "http://localhost:8123/"),
        ("127.0.0.1", "http://127.0.0.1.nip.io/"),
        ("127.0.0.1:8123", "http://127.0.0.1:8123/"),
        ("10.0.0.0/8", "http://10.1.2.3:6379/"),
        ("::1", "http://[::1]:8123/"),
        ("[::1]:8123", "http://[::1]:8123/"),
        ("fd00::/8", "http://[fd12::1]/"),
        ("Intra.Example", "http://intra.example:5432/"),
        ("intra.example:6379", "http://intra.example:6379/"),
        ("localhost:8123", "http://localhost:8123/"),
        ("169.254.169.254", "http://169.254.169.254/"),
    ],
)
def test_allow_list_entry_opens_what_it_names(entry: str, url: str) -> None:
    assert refusal(url) == "refused"
    check_url(url, OutboundPolicy((entry,)))


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("127.0.0.1", "http://127.0.0.2/"),
        ("127.0.0.1", "http://2130706433/"),
        ("127.0.0.1", "http://[::ffff:127.0.0.1]/"),
        ("127.0.0.1:8123", "http://127.0.0.1:8124/"),
        ("::1", "http://localhost/"),
        ("intra.example:6379", "http://intra.example:5432/"),
        ("intra.example", "http://sub.intra.example:5432/"),
        ("10.0.0.0/8", "http://redis.intra.example:6379/"),
        ("0.0.0.0/0", "http://169.254.169.254/"),
        ("169.254.0.0/16", "http://169.254.169.254/"),
        ("::/0", "http://[::ffff:127.0.0.1]/"),
        ("64:ff9b::/96", "http://[64:ff9b::10.0.0.1]/"),
    ],
)
def test_allow_list_entry_opens_nothing_else(entry: str, url: str) -> None:
    assert refusal(url, OutboundPolicy((entry,))) == "refused"


def test_opened_nat64_prefix_reaches_public_ipv4_only() -> None:
    policy = OutboundPolicy(("64:ff9b::/96",))
    assert policy.permits_address("example.com", 443, ip_address("64:ff9b::8.8.8.8"))
    assert not policy.permits_address("example.com", 443, ip_address("64:ff9b::192.168.0.1"))


def test_allowed_host_name_may_be_private_but_never_a_metadata_service() -> None:
    policy = OutboundPolicy(("intra.example",))
    assert policy.permits_address("intra.example", 443, ip_address("10.0.0.1"))
    assert not policy.permits_address("intra.example", 443, ip_address("169.254.169.254"))
    assert not policy.permits_address("intra.example", 443, ip_address("::ffff:169.254.169.254"))
    assert not policy.permits_address("other.example", 443, ip_address("10.0.0.1"))


@pytest.mark.parametrize(
    "entry", ["", "10.0.0.1/8", "10.0.0.0/33", "*.example.com", "http://intra.example", "a b", "host:0", "host:70000"]
)
def test_malformed_allow_list_entry_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match="outbound allow-list entry") as caught:
        OutboundPolicy((entry,))
    assert repr(entry) in str(caught.value)


def test_refusal_names_the_host_alone() -> None:
    with pytest.raises(OutboundError) as caught:
        check_url("http://10.0.0.1:8080/path?key=value")
    assert str(caught.value) == "address is not allowed: 10.0.0.1"


def test_checked_addresses_are_those_of_one_lookup() -> None:
    resolver = Resolver(("93.184.216.34", "2606:4700::1", "93.184.216.34"), ("10.0.0.1",))
    found = checked_addresses("DB.example.", 5432, policy=NOTHING_ALLOWED, timeout_seconds=5, resolver=resolver)
    assert found == ("93.184.216.34", "2606:4700::1")
    assert resolver.asked == ["db.example"]


@pytest.mark.parametrize("host", ["10.0.0.1", "::1", "localhost", "mixed.example", "0x7f.1"])
def test_checked_addresses_refuse_what_a_request_would(host: str) -> None:
    resolver = Resolver(("93.184.216.34", "10.0.0.1"))
    with pytest.raises(OutboundError) as caught:
        checked_addresses(host, 5432, policy=NOTHING_ALLOWED, timeout_seconds=5, resolver=resolver)
    assert caught.value.kind == "refused"
