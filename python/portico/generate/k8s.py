"""A Deployment and a Service of Kubernetes for an image such as `portico generate dockerfile` describes.

Where Prometheus can reach the admin address there is a HorizontalPodAutoscaler, too.
"""

from __future__ import annotations

from dataclasses import replace

from portico.config.address import Address
from portico.config.addresses import parse_address
from portico.config.settings import Settings
from portico.config.sources import DEFAULT_ORIGIN
from portico.errors import OperatorError
from portico.generate.container import USER_ID, Contained, contain, speaks_http
from portico.generate.deployment import Deployment, File
from portico.generate.head import made_by
from portico.generate.layout import Derived, comment, fill, listing, yaml_string
from portico.generate.times import shown, stop_s, stop_source

_DEREGISTER_S = 5.0
"""How long a pod that has to go is still sent requests: nothing tells when that has ended."""
_MEBIBYTE = 1 << 20
_WORKER_BYTES = 128 * _MEBIBYTE
"""A guess at what an application takes in one worker."""
_SUPERVISOR_BYTES = 64 * _MEBIBYTE

_MANIFEST = """
    <head>

    apiVersion: apps/v1
    kind: Deployment
    metadata:
      name: <name>
      labels:
        app.kubernetes.io/name: <name>
    spec:
      <replicas>
      selector:
        matchLabels:
          app.kubernetes.io/name: <name>
      strategy:
        type: RollingUpdate
        rollingUpdate:
          maxUnavailable: 0
          maxSurge: 1
      template:
        metadata:
          labels:
            app.kubernetes.io/name: <name>
          <annotations>
        spec:
          # drain_delay and graceful_timeout together, and some room.
          terminationGracePeriodSeconds: <grace>
          automountServiceAccountToken: false
          securityContext:
            runAsNonRoot: true
            runAsUser: <user>
            runAsGroup: <user>
            seccompProfile:
              type: RuntimeDefault
          containers:
            - name: <name>
              image: <image>
              command:
                <command>
              ports:
                - name: <port_name>
                  containerPort: <port>
                <metrics_port>
              <probes_comment>
              startupProbe:
                <probe>
                periodSeconds: 1
                timeoutSeconds: 3
                failureThreshold: 60
              readinessProbe:
                <probe>
                periodSeconds: 5
                timeoutSeconds: 3
                failureThreshold: 1
              livenessProbe:
                <probe>
                periodSeconds: 10
                timeoutSeconds: 3
                failureThreshold: 3
              resources:
                requests:
                  cpu: <cpu>
                  memory: <memory_request>
                limits:
                  # Of this limit portico counts its CPUs (workers auto). Memory: for each worker the
                  # application, a guess, and what max_buffered allows.
                  cpu: <cpu>
                  memory: <memory_limit>
              securityContext:
                allowPrivilegeEscalation: false
                readOnlyRootFilesystem: true
                capabilities:
                  drop: ["ALL"]
              volumeMounts:
                - name: temporary
                  mountPath: /tmp
          volumes:
            # For bodies and responses that are too large for memory.
            - name: temporary
              emptyDir:
                sizeLimit: <temporary>
    ---
    apiVersion: v1
    kind: Service
    metadata:
      name: <name>
      labels:
        app.kubernetes.io/name: <name>
    spec:
      selector:
        app.kubernetes.io/name: <name>
      ports:
        - name: <port_name>
          port: <service_port>
          targetPort: <port_name>
    <autoscaler>
"""

_REPLICAS = "replicas: 2"
_REPLICAS_OF_AUTOSCALER = "# How many replicas there are the HorizontalPodAutoscaler says."

_ANNOTATIONS = """
    annotations:
      # As many configurations of Prometheus have it. A PodMonitor names the port instead: metrics.
      prometheus.io/scrape: "true"
      prometheus.io/port: "<metrics>"
      prometheus.io/path: /metrics
"""

_METRICS_PORT = """
    - name: metrics
      containerPort: <metrics>
"""

_AUTOSCALER = """
    ---
    # The metric is 0 for a pod that is idle, and 1 where all threads or CPUs are busy. Kubernetes has it from
    # whoever offers metrics of pods: prometheus-adapter, or KEDA, which has an object of its own in the place
    # of this one. Without such an adapter the number of pods stays as it is.
    apiVersion: autoscaling/v2
    kind: HorizontalPodAutoscaler
    metadata:
      name: <name>
      labels:
        app.kubernetes.io/name: <name>
    spec:
      scaleTargetRef:
        apiVersion: apps/v1
        kind: Deployment
        name: <name>
      minReplicas: 2
      maxReplicas: 10
      metrics:
        - type: Pods
          pods:
            metric:
              name: portico_saturation
            target:
              type: AverageValue
              averageValue: 600m
      behavior:
        scaleDown:
          # A load that comes again within five minutes keeps its pods.
          stabilizationWindowSeconds: 300
          policies:
            - type: Pods
              value: 1
              periodSeconds: 60
"""


def _with_delay(deployment: Deployment) -> Deployment:
    """Return it with a delay for the Service, which goes on sending, unless it has one."""
    settings, delay = deployment.settings, Settings.drain_delay_s.attribute
    if settings.origins[delay] != DEFAULT_ORIGIN:
        return deployment
    values, origins = (
        {**settings.values, delay: _DEREGISTER_S},
        {**settings.origins, delay: "for the Service"},
    )
    return replace(deployment, settings=Settings(values, origins, settings.routes))


def files(deployment: Deployment) -> list[File]:
    """Return the one file. Raises OperatorError if the settings cannot hold in a pod."""
    deployment = _with_delay(deployment)
    settings, name = deployment.settings, deployment.name
    contained = contain(deployment)
    address = _served(settings, contained)
    metrics, remark = _metrics_port(settings)
    is_scaled = bool(metrics) and settings.pools is None
    workers = settings.workers or 1
    memory_bytes = _SUPERVISOR_BYTES + workers * (_WORKER_BYTES + settings.max_buffered_bytes)
    grace = Derived(
        "terminationGracePeriodSeconds",
        str(stop_s(settings)),
        stop_source(settings),
    )
    limit = Derived(
        "limits.memory", _mebibytes(memory_bytes), _each(settings, Settings.max_buffered_bytes.name)
    )
    temporary = Derived(
        "sizeLimit",
        _mebibytes(workers * settings.max_temporary_bytes),
        _each(settings, Settings.max_temporary_bytes.name),
    )
    changes = "".join(f"\n{change}" for change in (*contained.changes, *filter(None, [remark])))
    text = fill(
        _MANIFEST,
        head=comment(
            f"{made_by(deployment)}\nFor kubectl apply --filename {name}.yaml.\n\n"
            f"From these settings of portico:\n{listing([grace, limit, temporary])}{changes}"
        ),
        name=yaml_string(name),
        replicas=_REPLICAS_OF_AUTOSCALER if is_scaled else _REPLICAS,
        annotations=fill(_ANNOTATIONS, metrics=metrics) if metrics else "",
        metrics_port=fill(_METRICS_PORT, metrics=metrics) if metrics else "",
        autoscaler=fill(_AUTOSCALER, name=yaml_string(name)) if is_scaled else "",
        grace=grace.value,
        user=str(USER_ID),
        image=yaml_string(deployment.image or f"{name}:latest"),
        # Kubernetes replaces $(NAME), but not $$(NAME).
        command="\n".join(f"- {yaml_string(word.replace('$(', '$$('))}" for word in contained.command),
        port_name=yaml_string(address.scheme),
        port=str(address.port),
        probes_comment="# Served by a worker of portico itself, also while all threads are busy."
        if contained.health_path
        else "# Only a connection: nothing here speaks plain HTTP.",
        probe=_probe(contained, address),
        cpu=yaml_string(str(workers)),
        memory_request=_mebibytes(_SUPERVISOR_BYTES + workers * _WORKER_BYTES),
        memory_limit=limit.value,
        temporary=temporary.value,
        service_port="80" if address.scheme == "http" else str(address.port),
    )
    return [File(f"{name}.yaml", text)]


def _served(settings: Settings, contained: Contained) -> Address:
    """The listener that the Service leads to."""
    origin = settings.origins[Settings.bind.attribute]
    for address in contained.addresses:
        if address.is_file and not address.path.startswith("/tmp/"):
            raise OperatorError(f"{origin}: {address}: in the pod no files can be made but below /tmp")
    for address in contained.addresses:
        if not address.path:
            return address
    raise OperatorError(f"{origin}: a Service leads to a TCP port, but there is none: add --bind :8000")


def _metrics_port(settings: Settings) -> tuple[str, str]:
    """The port of the admin address, if it is reached from outside of the pod; else a remark, if any."""
    text, origin = settings.admin_bind, settings.origins[Settings.admin_bind.attribute]
    if text == "off":
        return "", ""
    address = parse_address(text)
    if address.is_file and not address.path.startswith("/tmp/"):
        raise OperatorError(f"{origin}: {text}: in the pod no files can be made but below /tmp")
    if address.path or address.host in ("localhost", "::1") or address.host.startswith("127."):
        return "", (
            f"Prometheus does not reach {text} (admin_bind), which is inside of the pod. With --admin-bind "
            ":9100 there is a HorizontalPodAutoscaler, too."
        )
    if not address.port:
        raise OperatorError(f"{origin}: {text}: nobody would know which port that is; give one")
    return str(address.port), ""


def _probe(contained: Contained, address: Address) -> str:
    if contained.health_path and speaks_http(contained.asked):
        return f"httpGet:\n  path: {yaml_string(contained.health_path)}\n  port: {contained.asked.port}"
    return f"tcpSocket:\n  port: {address.port}"


def _each(settings: Settings, name: str) -> str:
    row = next(row for row in (Settings.max_buffered_bytes, Settings.max_temporary_bytes) if row.name == name)
    return f"{shown(settings, row)} for each of {settings.workers or 1} workers"


def _mebibytes(size_bytes: int) -> str:
    """Return `size_bytes`, rounded up, in the unit that Kubernetes calls Mi."""
    return f"{-(-size_bytes // _MEBIBYTE)}Mi"
