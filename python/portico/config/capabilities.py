"""The names of capabilities (capabilities(7)), for settings and for the workers that keep some."""

from __future__ import annotations

NONE = "none"
"""What is given where a list is to be empty."""

CAPABILITIES = (
    *("chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap"),
    *("linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock"),
    *("ipc_owner", "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin"),
    *("sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease"),
    *("audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog", "wake_alarm"),
    *("block_suspend", "audit_read", "perfmon", "bpf", "checkpoint_restore"),
)
"""By their numbers (linux/capability.h)."""
