"""Ethernet frames as a hostile guest would make them, and what a minimal Debian has to send them with."""

import ipaddress
import struct

SENDER = r"""
my ($interface, @frames) = @ARGV;
my $index = do { local @ARGV = "/sys/class/net/$interface/ifindex"; <> };
socket(my $s, 17, 3, 0x0300) or die "socket: $!";
for (@frames) {
    my $frame = pack "H*", $_;
    my $to = pack "S n i S C C a8", 17, 3, $index, 0, 0, 6, substr($frame, 0, 6);
    send($s, $frame, 0, $to) or die "send: $!";
}
print scalar(@frames), " sent\n";
"""
"""Perl: an interface and frames in hexadecimal, sent raw (packet(7))."""

_SOURCE_MAC = bytes.fromhex("520000000001")


def udp(mac: str, source: str, target: str, port: int, payload: bytes) -> bytes:
    """A datagram in one frame, of either version of IP, from port 4444."""
    whole = 8 + len(payload)
    head = struct.pack("!HHHH", 4444, port, whole, 0)
    first, second = ipaddress.ip_address(source), ipaddress.ip_address(target)
    if first.version == 6:
        pseudo = first.packed + second.packed + struct.pack("!II", whole, 17)
        head = struct.pack("!HHHH", 4444, port, whole, _sum(pseudo + head + payload) or 0xFFFF)
        ip = struct.pack("!IHBB", 6 << 28, whole, 17, 64) + first.packed + second.packed
        kind = 0x86DD
    else:
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + whole, 1, 0, 64, 17, 0) + first.packed + second.packed
        ip = ip[:10] + struct.pack("!H", _sum(ip)) + ip[12:]
        kind = 0x0800
    return bytes.fromhex(mac.replace(":", "")) + _SOURCE_MAC + struct.pack("!H", kind) + ip + head + payload


def _sum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
