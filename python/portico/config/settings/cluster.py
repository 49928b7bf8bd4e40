"""How the load balancers in front of several hosts know of this one."""

from __future__ import annotations

from portico.config.kinds import HaproxyName, HaproxyWords, LogFile, Place
from portico.config.setting import Group, ManySetting, Setting
from portico.config.values import Values

_CLUSTER = Group("cluster", "cluster")


class ClusterSettings(Values):
    """The rows of the group `cluster`."""

    __slots__ = ()

    cluster_agent = Setting(
        "cluster_agent",
        Place("off"),
        "off",
        group=_CLUSTER,
        key="agent",
        documentation="Where the supervisor tells HAProxy's agent-check how much it can take: a weight from "
        "100% when idle to 20% when all threads or CPUs are busy, drain and maint while it stops or rests, "
        "down while no worker is ready. Anybody who may connect there may read that.",
    )
    cluster_haproxy = ManySetting(
        "cluster_haproxy",
        Place(has_paths=True),
        (),
        separator=",",
        group=_CLUSTER,
        key="haproxy",
        documentation="The runtime API of an HAProxy that is to send requests here: `unix:PATH`, or "
        "HOST:PORT. This host is added to it once it is ready, drained before it stops, and removed. Has to "
        "be of level admin. May be repeated, for HAProxies beside each other.",
    )
    cluster_eds_file = Setting(
        "cluster_eds_file",
        LogFile("a file, or off", ("off",)),
        "off",
        group=_CLUSTER,
        key="eds_file",
        documentation="A file of endpoints that an Envoy watches (EDS): this host is healthy there once it "
        "is ready, draining before it stops, and then gone. Several hosts may have the same one.",
    )
    cluster_backend = Setting(
        "cluster_backend",
        HaproxyName(),
        "portico",
        group=_CLUSTER,
        key="backend",
        documentation="With `haproxy` the backend, with `eds_file` the cluster that this host belongs to.",
    )
    cluster_server = Setting(
        "cluster_server",
        HaproxyName(),
        "auto",
        group=_CLUSTER,
        key="server",
        documentation="With `haproxy`: the name of this host there. A server of that name which HAProxy "
        "has, such as one of a server-template, gets the address of this host; else one is added. auto is "
        "the name of the machine and the port.",
    )
    cluster_address = Setting(
        "cluster_address",
        Place("auto", has_paths=True),
        "auto",
        group=_CLUSTER,
        key="address",
        documentation="Where HAProxy or Envoy sends requests. auto is the first listener of HTTP; of one on "
        "all addresses, the address by which this host reaches HAProxy; Envoy has to be told.",
    )
    cluster_options = Setting(
        "cluster_options",
        HaproxyWords(),
        "check inter 2s fall 2 rise 1 weight 100",
        group=_CLUSTER,
        key="options",
        documentation="With `haproxy`: what a server is added with. A weight of 100 leaves room for shares "
        "of it; the agent-check is added where there is an `agent`.",
    )
