# shellcheck shell=dash
# Capabilities and access lists of files on the data disk (owners.sh). chown takes the former, and the latter say numbers.
# No program for them is in every system, and none in the initramfs: it is the machine's own perl that asks the kernel,
# which every Debian has. Without it they stay as chown leaves them, and this start reports that (status.sh).

# note_attributes ROOT: in WAY/attributes, of each file: its name, an attribute, its bytes before and those afterwards.
note_attributes() {
    local code=0
    found -o ! -type l -print0 | with_perl "$1" note || code=$?
    case $code in
    0) return 0 ;;
    3 | 126 | 127) ;;
    *) return 1 ;;
    esac
    rm -f "$WAY/attributes"
    echo "capabilities and access lists of files on its data disk are not kept or renumbered: it has no perl" >"$RUN/data-told"
    echo "skinnybox: $(cat "$RUN/data-told")"
}

# give_attributes ROOT before|after
give_attributes() {
    with_perl "$1" "$2"
}

# with_perl ROOT note|before|after: the new root's. For -e it opens /dev/null.
with_perl() {
    local code=0
    [ -d "$1$RUN" ] || mkdir -p "$1$RUN"
    mount -o bind "$RUN/data" "$1$RUN" || return 1
    mount -o bind /dev "$1/dev" || { umount "$1$RUN" && return 1; }
    # shellcheck disable=SC2016
    ROOT='' chroot "$1" /usr/bin/perl -e "$ATTRIBUTES_PERL" "$2" "$RUN" || code=$?
    umount "$1/dev" && umount "$1$RUN" || return 1
    return "$code"
}

# Kernels' numbers of lsetxattr, lgetxattr and llistxattr, by what perl was built for. 3: of another one.
# shellcheck disable=SC2016 # perl's
ATTRIBUTES_PERL='
use strict; use Config;
my ($what, $data) = @ARGV;
my $way = "$data/skinnybox/owners.moving";
my ($set, $get, $list) = $Config{archname} =~ /^x86_64-.*x32/ ? exit 3
    : $Config{archname} =~ /^x86_64/ ? (189, 192, 195)
    : $Config{archname} =~ /^(?:i.86|arm)/ ? (227, 230, 233)
    : $Config{archname} =~ /^(?:aarch64|riscv64|loongarch64)/ ? (6, 9, 12) : exit 3;
chdir "$data/folders" or die "$data/folders: $!\n";
$/ = "\0";
exit($what eq "note" ? note() : again($what eq "after" ? 1 : 0));

sub note {
    my %moved;
    { local $/ = "\n"; open my $moves, "<", "$way/moves" or die "moves: $!\n";
      while (<$moves>) { $moved{$1}{$2} = $3 if /^(user|group) (\d+) (\d+)$/ } }
    open my $out, ">", "$way/attributes" or die "attributes: $!\n";
    while (my $name = <STDIN>) {
        chomp $name;
        my $names = asked($list, $name);
        for my $key (grep /^(?:security\.capability|system\.posix_acl_(?:access|default))$/, split /\0/, $names) {
            my $value = asked($get, $name, $key);
            my $other = $key =~ /^system/ ? renumbered($value, \%moved) : $value;
            next if $key =~ /^system/ && $other eq $value;
            print $out join("\0", $name, $key, unpack("H*", $value), unpack("H*", $other)), "\0" or die "attributes: $!\n";
        }
    }
    close $out or die "attributes: $!\n";
    return 0;
}

sub asked {
    my ($call, $name, @key) = @_;
    my $room = "\0" x 65536;
    my $size = syscall($call, $name, @key, $room, length $room);
    return substr $room, 0, $size if $size >= 0;
    return "" if $!{EOPNOTSUPP};
    die "$name: $!\n";
}

sub renumbered {
    my ($list, $moved) = @_;
    my $made = substr $list, 0, 4;
    for (my $at = 4; $at + 8 <= length $list; $at += 8) {
        my ($tag, $rights, $number) = unpack "vvV", substr $list, $at, 8;
        my $kind = $tag == 2 ? "user" : $tag == 8 ? "group" : "none";
        $made .= pack "vvV", $tag, $rights, $moved->{$kind}{$number} // $number;
    }
    return $made;
}

sub again {
    my ($which) = @_;
    open my $in, "<", "$way/attributes" or die "attributes: $!\n";
    while (defined(my $name = <$in>)) {
        my @rest = map { scalar <$in> } 1 .. 3;
        chomp($name, @rest);
        my $value = pack "H*", $rest[1 + $which];
        syscall($set, $name, $rest[0], $value, length $value, 0) == 0 or die "$name: $!\n";
    }
    return 0;
}
'
