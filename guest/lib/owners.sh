# shellcheck shell=dash
# Whose the files on the data disk are, where a rebase has given accounts other numbers. A data disk is never rolled back,
# and systems are. So it keeps a record of the moves it has had, the newest last (skinnybox/owners); a rebase leaves its
# own move in the system that it builds (/var/lib/skinnybox/owners); and a start makes the difference good before anything
# looks into the folders: undone last first, then done. A trial, the way back and a disk of an older day are one mechanism.
#
# How one is made is in moving.sh.

: "${RUN:=/run/skinnybox}" "${LIB:=/usr/lib/skinnybox/lib}"
OWNERS_MOST=65536

# follow_owners ROOT: the data disk is mounted on RUN/data. Refuses where it cannot.
follow_owners() {
    # shellcheck disable=SC2034 # for moving.sh
    FOLDERS=$RUN/data/folders WAY=$RUN/data/skinnybox/owners.moving STEP=$RUN/owners-step OWNERS_TOLD=
    # shellcheck source=/dev/null
    . "$LIB/moving.sh"
    : >"$RUN/said"
    settle_owners "$1" 2>>"$RUN/said" || refuse_owners "an earlier start began to"
    while next_step "$1"; do
        echo "skinnybox: giving files on the data disk to other numbers of their accounts: $OWNERS_TOLD"
        { begin_move "$1" && settle_owners "$1"; } 2>>"$RUN/said" || refuse_owners "$OWNERS_TOLD"
    done
}

refuse_owners() {
    refuse "files on the data disk cannot be given to other numbers of their accounts ($1): $(tail -n 3 "$RUN/said")"
}

# next_step ROOT: sets OWNERS_TOLD, and leaves in STEP the moves of the one step to do, as they are to be made, and the record
# afterwards; or fails, as there is none. No system says more than one move: which others it has had follows from the
# record, where that names its move, or the images that it was made from. Of one without a word, by the images that
# it boots: a reset leaves none.
next_step() {
    local had=$RUN/data/skinnybox/owners wanted=$1/var/lib/skinnybox/owners file images='' image
    rm -rf "$STEP" && mkdir "$STEP" || refuse "there is no room for $STEP"
    for file in "$had" "$wanted"; do
        [ ! -e "$file" ] && [ ! -L "$file" ] || fits_owners "$file" || refuse "$file is no record of owners"
    done
    while read -r image _; do images=$images${images:+,}$image; done <"$RUN/wanted"
    [ -e "$had" ] || had=/dev/null
    [ -e "$wanted" ] || wanted=/dev/null
    awk -v images="$images" -v step="$STEP" "$OWNERS_AWK" which=had "$had" which=wanted "$wanted" >"$STEP/told" ||
        refuse "what a rebase has left about owners is not understood: $(cat "$STEP/told")"
    read -r OWNERS_TOLD <"$STEP/told"
}

fits_owners() {
    [ -f "$1" ] && [ ! -L "$1" ] && [ "$(wc -c <"$1")" -le "$OWNERS_MOST" ]
}

# shellcheck disable=SC2016 # awk's
OWNERS_AWK='
    function bad(why) { print which ", line " FNR ": " why; failed = 1; exit 1 }
    function numbered(n) { return n ~ /^[1-9][0-9]*$/ && (n + 0 < 16777216 || n + 0 >= 1895825408 && n + 0 < 1912602624) }
    function had_by(these, i) {
        if (!moves["had"] || onto["had", moves["had"]] == these) return moves["had"] + 0
        for (i = moves["had"]; i; i--) if (from["had", i] == these) return i - 1
        return moves["had"] + 0
    }
    FNR == 1 { if ($0 != "skinnybox-owners 1") bad("of another kind"); given[which] = 1; next }
    whole[which] { bad("something follows its end") }
    $0 == "end" { whole[which] = 1; next }
    /^move [0-9a-f]+$/ && length($2) <= 64 {
        moves[which]++
        at = which SUBSEP moves[which]
        id[at] = $2
        text[at] = $0 "\n"
        next
    }
    !moves[which] { bad("it belongs to no move") }
    { text[at] = text[at] $0 "\n" }
    /^from [^ ]+$/ { from[at] = $2; next }
    /^onto [^ ]+$/ { onto[at] = $2; next }
    /^leave (\/[A-Za-z0-9._-]+)+$/ { leave[at] = leave[at] $0 "\n"; next }
    /^(user|group) [0-9]+ [0-9]+$/ && numbered($2) && numbered($3) {
        if ((at, $1, $2) in goes || (at, $1, $3) in comes) bad("two of one number")
        goes[at, $1, $2] = comes[at, $1, $3] = at
        there[at] = there[at] $0 "\n"; back[at] = back[at] $1 " " $3 " " $2 "\n"
        next
    }
    { bad("no such line") }
    END {
        if (failed) exit 1
        for (which in given) if (!whole[which]) bad("it has no end")
        if (moves["wanted"] > 1) bad("more than one move")
        for (each in goes) if (!(each in comes)) bad("a move that could not be undone")
        for (each in comes) if (!(each in goes)) bad("a move that could not be undone")
        keep = had_by(moves["wanted"] ? from["wanted", 1] : images)
        add = moves["wanted"]
        for (i = 1; i <= moves["had"]; i++) if (add && id["had", i] == id["wanted", 1]) { keep = i; add = 0; break }
        last = moves["had"]
        if (last > keep) { at = "had" SUBSEP last; last--; made = back[at]; told = "undone is the move " id[at] }
        else if (add) { at = "wanted" SUBSEP 1; made = there[at]; told = "the move " id[at] }
        else exit 0
        printf "%s%s", leave[at], made >(step "/moves")
        print "skinnybox-owners 1" >(step "/owners")
        for (i = last > 8 ? last - 7 : 1; i <= last; i++) printf "%s", text["had", i] >(step "/owners")
        if (add && at ~ /^wanted/) printf "%s", text[at] >(step "/owners")
        print "end" >(step "/owners")
        print told
    }'
