# shellcheck shell=dash
# A guest's own cloud-init. Only one of two may act: what a seed says, we do, before any init; what its user-data says,
# cloud-init does, and is told to keep its hands off the rest. Without user-data it is off, and costs no boot anything.
# ROOT as in seed.sh. Settings as cloud-init 20.4 to 25.1 read them.

CLOUD_SEED=/var/lib/cloud/seed/nocloud CLOUD_OFF=/etc/cloud/cloud-init.disabled USER_DATA=''
# The last of all: a later file wins, and installers leave files like subiquity-disable-cloudinit-networking.cfg.
CLOUD_SETTINGS=/etc/cloud/cloud.cfg.d/zzz-skinnybox.cfg

has_cloud_init() {
    [ -e "$ROOT/usr/bin/cloud-init" ]
}

# seed_user_data FOLDER NUMBER: first under which name it is an instance, then what is in it: killed between the two, the
# next try sees other user-data, and a new instance, once more.
seed_user_data() {
    has_cloud_init || cannot "user-data: this master has no cloud-init"
    USER_DATA=given
    put_file "$CLOUD_SEED/meta-data" 0600 root:root meta_data "$1" "$(cloud_instance "$1" "$2")"
    put_file "$CLOUD_SEED/user-data" 0600 root:root message_payload "$1" "$2"
    put_file "$CLOUD_SEED/vendor-data" 0600 root:root :
    put_file "$CLOUD_SETTINGS" 0644 root:root cloud_settings
    # It may say that none of this is looked for.
    [ ! -e "$ROOT/etc/cloud/ds-identify.cfg" ] ||
        put_file /etc/cloud/ds-identify.cfg 0644 root:root echo 'policy: search,found=all,maybe=none,notfound=enabled'
    [ ! -e "$ROOT$CLOUD_OFF" ] || rm -f "$ROOT$CLOUD_OFF"
}

# cloud_instance FOLDER NUMBER: what runs once, runs again for another. So it is this one as long as its user-data is the
# same, whatever else a newer seed says, as with a run-once script.
cloud_instance() {
    local instance key value
    instance=$(message_value "$1" instance)
    if [ -r "$ROOT$CLOUD_SEED/meta-data" ] && message_payload "$1" "$2" | cmp -s - "$ROOT$CLOUD_SEED/user-data"; then
        while read -r key value; do
            case $key,$value in
            instance-id:,"$instance"-*) printf '%s\n' "$value" && return ;;
            esac
        done <"$ROOT$CLOUD_SEED/meta-data"
    fi
    printf '%s-%s\n' "$instance" "$(message_value "$1" generation)"
}

meta_data() {
    printf 'instance-id: %s\nlocal-hostname: %s\n' "$2" "$(message_value "$1" hostname)"
}

# cloud_settings: one source, without disks that happen to be called cidata, and nothing of what is the seed's or the
# master's. User-data that says one of these (but for the first three) still has its will: it was said on purpose. Of host
# keys it makes those that are not there, and ours is; an empty list, or a locale of false, its own schema calls a mistake,
# and cloud-init status would say `degraded`.
cloud_settings() {
    cat <<-END
	# Written from the seed by skinnybox, which does what is switched off here.
	datasource_list: [ NoCloud, None ]
	datasource:
	  NoCloud:
	    fs_label: null
	network:
	  config: disabled
	manual_cache_clean: false
	preserve_hostname: true
	manage_etc_hosts: false
	ssh_deletekeys: false
	ssh_genkeytypes: [ ed25519 ]
	disable_root: false
	users: [ '' ]
	locale: 'false'
	growpart:
	  mode: 'off'
	resize_rootfs: false
	grub_dpkg:
	  enabled: false
	apt:
	  preserve_sources_list: true
	END
}

# cloud_done: off, where no user-data came. What came with an earlier seed goes, as it may hold secrets.
cloud_done() {
    [ -z "$USER_DATA" ] && has_cloud_init || return 0
    [ ! -e "$ROOT$CLOUD_SEED" ] || rm -rf "$ROOT$CLOUD_SEED"
    [ ! -e "$ROOT/etc/cloud/cloud-init.enabled" ] || rm -f "$ROOT/etc/cloud/cloud-init.enabled"
    [ -e "$ROOT$CLOUD_OFF" ] || put_file "$CLOUD_OFF" 0644 root:root echo '# Written by skinnybox: the seed has no user-data.'
}
