"""The Dockerfile and the objects of Kubernetes: the command, and what has to agree with the settings."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from portico.admin.families import FAMILIES
from portico.config.settings import Settings
from portico.errors import OperatorError
from support.server import Server, free_port

from .made import generated, head_of
from .test_systemd import settings_of

Instructions = list[tuple[str, str]]


def dockerfile(*arguments: str) -> Instructions:
    """The instructions of the Dockerfile: names and what follows them."""
    text = generated("dockerfile", *arguments)
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    found = [line.partition(" ")[::2] for line in lines]
    known = {"FROM", "RUN", "ENV", "COPY", "WORKDIR", "USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "CMD"}
    assert {name for name, _ in found} <= known
    return found


def last_stage(instructions: Instructions) -> Instructions:
    """The instructions of the image itself."""
    start = max(index for index, (name, _) in enumerate(instructions) if name == "FROM")
    return instructions[start:]


def only(instructions: Instructions, name: str) -> str:
    """What follows the only instruction `name`."""
    found = [rest for known, rest in instructions if known == name]
    assert len(found) == 1, f"{len(found)} x {name}"
    return found[0]


def objects(*arguments: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The Deployment and the Service."""
    deployment, service = yaml.safe_load_all(generated("k8s", *arguments))
    assert (deployment["kind"], service["kind"]) == ("Deployment", "Service")
    return deployment, service


def pod_of(*arguments: str) -> dict[str, Any]:
    """What the Deployment says of a pod."""
    found: dict[str, Any] = objects(*arguments)[0]["spec"]["template"]["spec"]
    return found


def container_of(*arguments: str) -> dict[str, Any]:
    """The one container of a pod."""
    (found,) = pod_of(*arguments)["containers"]
    assert isinstance(found, dict)
    return found


def docker_command(*arguments: str) -> list[str]:
    """The command of the image, which is in the form without a shell."""
    found: list[str] = json.loads(only(last_stage(dockerfile(*arguments)), "CMD"))
    return found


def pod_command(*arguments: str) -> list[str]:
    """The command of the container, as Kubernetes reads it."""
    words = container_of(*arguments)["command"]
    assert not [word for word in words if re.search(r"(?<!\$)\$\(", word)], "a variable would be put there"
    return [word.replace("$$(", "$(") for word in words]


BOTH = pytest.mark.parametrize("command", [docker_command, pod_command], ids=["docker", "k8s"])
OPTIONS = {
    "usual": (),
    "numbers": ("--workers", "3", "--threads", "5", "--timeout", "90s", "--max-head", "100K"),
    "words": ("-e", 'A=it\'s 50% "of" $HOME \\n ; $(B) é', "-e", "B=", "--forwarded-allow-ips", "10.0.0.0/8"),
}


@BOTH
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_container_runs_portico_with_the_same_settings(
    command: Callable[..., list[str]], options: tuple[str, ...]
) -> None:
    options = ("shop.wsgi", "--bind", ":8000", "--health-path", "/livez", *options)
    found = command(*options)
    assert found[:2] == ["portico", "run"]
    # A pod has a delay for its Service, which goes on sending.
    found_values = {**settings_of(found).values, "drain_delay_s": 0.0}
    assert found_values == settings_of(["run", *options]).values


@BOTH
def test_a_container_listens_where_it_can_be_reached(command: Callable[..., list[str]]) -> None:
    binds = ("-b", "127.0.0.1:81", "-b", "[::1]:82", "-b", "localhost:83", "-b", "10.0.0.7:84")
    assert settings_of(command("shop", *binds)).bind == ("0.0.0.0:81", "[::]:82", "0.0.0.0:83", "10.0.0.7:84")


@BOTH
def test_a_container_can_be_asked_how_it_is(command: Callable[..., list[str]]) -> None:
    assert settings_of(command("shop")).health_paths == ("/healthz",), "made up, because there was none"
    assert settings_of(command("shop", "--health-path", "/livez")).health_paths == ("/livez",)
    uwsgi = ("-b", "uwsgi://:8000", "--uwsgi-allow-from", "10.0.0.0/8")
    assert settings_of(command("shop", *uwsgi)).health_paths == (), "nothing there speaks HTTP"


@BOTH
def test_a_container_logs_to_standard_output(command: Callable[..., list[str]]) -> None:
    assert settings_of(command("shop", "--access-log", "/var/log/access.log")).access_log == "-"
    assert settings_of(command("shop", "--access-log", "off")).access_log == "off"
    assert settings_of(command("shop", "--error-log", "/var/log/error.log")).error_log == "-"


@BOTH
def test_folders_are_those_of_the_image(
    command: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site" / "lib").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for site, library in (("site", "lib"), (tmp_path / "site", tmp_path / "site" / "lib")):
        found = settings_of(command("shop", "--chdir", str(site), "--pythonpath", str(library)))
        assert (found.chdir, found.pythonpath) == ("site", ("lib",))
    for option in ("--chdir", "--pythonpath"):
        with pytest.raises(OperatorError) as failure:
            command("shop", option, "/usr/lib")
        assert f'{option} on the command line: "/usr/lib" is outside of the folder' in failure.value.message


@pytest.mark.parametrize("target", ["dockerfile", "k8s"])
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("-b", "fd://web"), "nothing passes a socket on to a container, so fd://web would not be there"),
        (("-b", ":0"), "0.0.0.0:0: nobody would know which port that is"),
        (("-b", "uwsgi://:81"), "uwsgi_allow_from is 127.0.0.0/8 ::1 unix (the default), but who uses"),
        (
            ("-b", "http://:81?proxy=required"),
            "give --proxy-allow-from with the network of the reverse proxy",
        ),
        (("--image", "a b"), "--image: expected the name of an image"),
        (("--name", "Shop"), "--name on the command line: expected lower-case letters"),
    ],
)
def test_says_what_a_container_cannot_have(target: str, options: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(OperatorError) as failure:
        generated(target, "shop", *options)
    assert sentence in failure.value.message


@pytest.mark.parametrize("target", ["dockerfile", "k8s", "systemd"])
def test_wants_an_application(target: str) -> None:
    with pytest.raises(OperatorError) as failure:
        generated(target)
    assert "no application was given" in failure.value.message


def test_the_image_is_made_in_two_stages_and_is_nobody() -> None:
    instructions = dockerfile("shop", "-b", ":8001", "-b", "uwsgi+unix:/run/a.sock")
    froms = [rest for name, rest in instructions if name == "FROM"]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert froms == [f"python:{version}-slim AS build", f"python:{version}-slim"]
    image = last_stage(instructions)
    assert ("COPY", "--from=build /venv /venv") in image
    assert not [rest for name, rest in image if name == "RUN"], "everything is installed in the first stage"
    user, _, group = only(image, "USER").partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert image.index(("USER", f"{user}:{group}")) > max(
        index for index, (name, _) in enumerate(image) if name == "COPY"
    ), "the user could change the files else"
    assert only(image, "EXPOSE") == "8001"
    assert only(image, "STOPSIGNAL") == "SIGTERM"


@pytest.mark.parametrize(("graceful", "least"), [("30s", 31), ("90s", 91), ("0", 1)])
def test_docker_is_told_to_wait_longer_than_portico_needs_to_stop(graceful: str, least: int) -> None:
    head = head_of(generated("dockerfile", "shop", "--graceful-timeout", graceful))
    found = re.findall(r"--stop-timeout (\d+)", head)
    assert len(found) == 2, "in the command, and where it comes from"
    assert {least < int(seconds) <= least + 10 for seconds in found} == {True}


def health_check(*arguments: str) -> int:
    """Run the check of the image, here; its exit code."""
    options, _, command = only(last_stage(dockerfile("shop", *arguments)), "HEALTHCHECK").partition("CMD ")
    assert re.search(r"--interval=\d+s --timeout=\d+s", options)
    python, *words = json.loads(command)
    assert python == "python"
    return subprocess.run([sys.executable, *words], capture_output=True, timeout=30).returncode


def test_the_health_check_asks_portico(tmp_path: Path) -> None:
    uwsgi, path = f"uwsgi://127.0.0.1:{free_port()}", tmp_path / "a.sock"
    binds = ["-b", uwsgi, "-b", f"unix:{path}", "-b", "unix:@portico-test-health"]
    with Server("apps.mirror", options=[*binds, "--health-path", "/livez"]) as server:
        http = f"127.0.0.1:{server.port}"
        allow = ("--uwsgi-allow-from", "10.0.0.0/8")
        assert health_check("-b", http, "--health-path", "/livez") == 0
        assert health_check("-b", uwsgi, *allow) == 0
        assert health_check("-b", uwsgi, "-b", http, *allow, "--health-path", "/livez") == 0
        assert health_check("-b", f"unix:{path}") == 0
        assert health_check("-b", "unix:@portico-test-health") == 0
        # The application responds with 200 to everything, but HTTP is not what is spoken there.
        assert health_check("-b", uwsgi.replace("uwsgi", "http")) != 0
    assert health_check("-b", http, "--health-path", "/livez") != 0
    assert health_check("-b", f"unix:{path}") != 0


def test_the_health_check_does_not_take_an_error_for_health() -> None:
    with Server("apps.conformance:application") as server:
        assert health_check("-b", f"127.0.0.1:{server.port}", "--health-path", "/no-such-route") != 0


def test_kubernetes_asks_the_health_path() -> None:
    probes = ("startupProbe", "readinessProbe", "livenessProbe")
    container = container_of("shop", "-b", ":8001", "--health-path", "/livez", "--health-path", "/x")
    assert {json.dumps(container[probe]["httpGet"]) for probe in probes} == {
        '{"path": "/livez", "port": 8001}'
    }
    # The first listener is what the Service leads to, another one is what can be asked.
    mixed = ("-b", "uwsgi://:3031", "-b", ":8001", "--uwsgi-allow-from", "*")
    container = container_of("shop", *mixed)
    assert container["readinessProbe"]["httpGet"] == {"path": "/healthz", "port": 8001}
    container = container_of("shop", "-b", "uwsgi://:3031", "--uwsgi-allow-from", "*")
    assert {json.dumps(container[probe]["tcpSocket"]) for probe in probes} == {'{"port": 3031}'}


def test_the_service_leads_to_the_pods() -> None:
    deployment, service = objects("shop.wsgi", "-b", "unix:/tmp/a.sock", "-b", ":8001")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels == service["spec"]["selector"]
    assert deployment["metadata"]["name"] == service["metadata"]["name"] == "shop"
    (port,) = service["spec"]["ports"]
    (inner,) = deployment["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert port == {"name": "http", "port": 80, "targetPort": inner["name"]}
    assert inner["containerPort"] == 8001
    assert objects("shop", "--name", "web")[1]["metadata"]["name"] == "web"
    assert container_of("shop")["image"] == "shop:latest"
    assert (
        container_of("shop", "--image", "registry.example/shop:1.0")["image"] == "registry.example/shop:1.0"
    )


REACHED = pytest.mark.parametrize("admin", [":9100", "[::]:9100", "10.0.0.7:9100"])
WITHIN = ["127.0.0.1:9100", "localhost:9100", "[::1]:9100", "unix:/tmp/admin.sock", "unix:@admin"]


@REACHED
def test_pods_are_added_by_their_saturation_where_prometheus_reaches_them(admin: str) -> None:
    deployment, service, scaler = yaml.safe_load_all(
        generated("k8s", "shop", "-b", ":8000", "--admin-bind", admin)
    )
    assert (scaler["apiVersion"], scaler["kind"]) == ("autoscaling/v2", "HorizontalPodAutoscaler")
    assert scaler["metadata"] == deployment["metadata"]
    spec = scaler["spec"]
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"}
    assert spec["scaleTargetRef"] == target
    assert (deployment["apiVersion"], deployment["kind"]) == ("apps/v1", "Deployment")
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 10)
    (metric,) = spec["metrics"]
    assert metric == {
        "type": "Pods",
        "pods": {
            "metric": {"name": "portico_saturation"},
            "target": {"type": "AverageValue", "averageValue": "600m"},
        },
    }
    assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 300
    assert "replicas" not in deployment["spec"], "each apply would set back what the autoscaler has done"
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert container["ports"] == [
        {"name": "http", "containerPort": 8000},
        {"name": "metrics", "containerPort": 9100},
    ]
    assert pod["metadata"]["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "9100",
        "prometheus.io/path": "/metrics",
    }
    # Clients of the Service have nothing to do with it.
    assert len(service["spec"]["ports"]) == 1
    assert settings_of(container["command"]).admin_bind in (admin, f"0.0.0.0{admin}")


def test_the_metric_of_the_autoscaler_is_one_that_portico_has() -> None:
    (name,) = re.findall(r"name: (portico_\w+)", generated("k8s", "shop", "--admin-bind", ":9100"))
    assert name in {family.name for family in FAMILIES}


def test_without_an_admin_address_nothing_is_scaled() -> None:
    deployment, _ = objects("shop")
    assert deployment["spec"]["replicas"] == 2
    assert "annotations" not in deployment["spec"]["template"]["metadata"]
    assert "admin" not in generated("k8s", "shop")


@pytest.mark.parametrize("admin", WITHIN)
def test_nor_with_one_that_prometheus_cannot_reach(admin: str) -> None:
    options = ("shop", "--admin-bind", admin)
    deployment, _ = objects(*options)
    assert deployment["spec"]["replicas"] == 2
    assert len(container_of(*options)["ports"]) == 1
    head = " ".join(head_of(generated("k8s", *options)).split())
    assert f"Prometheus does not reach {admin} (admin_bind), which is inside of the pod." in head


@pytest.mark.parametrize(
    ("admin", "sentence"),
    [
        (":0", "0.0.0.0:0: nobody would know which port that is; give one"),
        ("unix:/run/admin.sock", "unix:/run/admin.sock: in the pod no files can be made but below /tmp"),
    ],
)
def test_says_which_admin_address_a_pod_cannot_have(admin: str, sentence: str) -> None:
    with pytest.raises(OperatorError) as failure:
        generated("k8s", "shop", "--admin-bind", admin)
    assert failure.value.message == f"--admin-bind on the command line: {sentence}"


@pytest.mark.parametrize(
    "name",
    [
        *("on", "off", "yes", "no", "y", "n", "true", "false", "null"),
        *("1e3", "12", "0x10", "010", "0o7", "1-2", "2026-11-28", "00", "0b1", "685230"),
    ],
)
def test_a_name_is_a_string_in_kubernetes(name: str) -> None:
    """Whatever YAML would read a plain word as."""
    for options in (("shop", "--name", name), (f"{name}.wsgi",)):
        if options[0][0].isdigit():
            continue  # no name of a module
        deployment, service = objects(*options)
        label = {"app.kubernetes.io/name": name}
        assert deployment["metadata"] == service["metadata"] == {"name": name, "labels": label}
        assert deployment["spec"]["selector"]["matchLabels"] == label == service["spec"]["selector"]
        assert deployment["spec"]["template"]["metadata"]["labels"] == label
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert (container["name"], container["image"]) == (name, f"{name}:latest")


@pytest.mark.parametrize("image", ["1:30", "12", "on", "1e3", "2026-11-28", "190:20:30", "0x10", "null"])
def test_an_image_is_a_string_in_kubernetes(image: str) -> None:
    assert container_of("shop", "--image", image)["image"] == image


@pytest.mark.parametrize(
    "value",
    [
        *("yes", "1:30", "~", "", "a: b", "a #b", "- a", "{a}", "&a", "*a", "!a", "|", ">", "%a", "@a", "`a"),
        *(
            "'",
            '"',
            "\\",
            "\t",
            "a\nb",
            " a ",
            "\x7f",
            "\x85",
            "\xa0",
            "\u2028",
            "\ufeff",
            "\U0001f40d",
            "\x1b",
        ),
    ],
    ids=ascii,
)
def test_a_word_of_the_command_is_a_string_in_kubernetes(value: str) -> None:
    assert f"X={value}" in pod_command("shop", "-e", f"X={value}")


@pytest.mark.parametrize("target", ["k8s", "dockerfile", "systemd"])
def test_a_byte_that_is_no_text_is_named(target: str) -> None:
    with pytest.raises(OperatorError, match=r"a byte that is no UTF-8, at the end of .*X=a\\udc80"):
        generated(target, "shop", "-e", "X=a\udc80")


@pytest.mark.parametrize("graceful", ["0", "30s", "1500ms", "5m"])
@pytest.mark.parametrize(
    ("delay", "delay_s"), [((), 5), (("--drain-delay", "20s"), 20), (("--drain-delay", "0"), 0)]
)
def test_kubernetes_waits_longer_than_portico_needs_to_stop(
    graceful: str, delay: tuple[str, ...], delay_s: float
) -> None:
    options = ("shop", "--graceful-timeout", graceful, *delay)
    settings = settings_of(pod_command(*options)[1:])
    # The Service goes on sending requests for a moment.
    assert settings.drain_delay_s == delay_s
    needed_s = settings.drain_delay_s + settings.graceful_timeout_s + 1
    assert needed_s + 1 < pod_of(*options)["terminationGracePeriodSeconds"] <= needed_s + 10


def mebibytes(text: str) -> int:
    """A quantity of Kubernetes."""
    assert text.endswith("Mi")
    return int(text.removesuffix("Mi"))


def test_a_pod_has_room_for_what_the_limits_allow() -> None:
    options = ("--max-buffered", "100M", "--max-temporary", "300M", "-w", "3")
    pod = pod_of("shop", *options)
    resources = pod["containers"][0]["resources"]
    assert mebibytes(resources["limits"]["memory"]) > 3 * 100
    assert mebibytes(resources["requests"]["memory"]) < mebibytes(resources["limits"]["memory"])
    assert resources["limits"]["cpu"] == "3"
    (mount,) = pod["containers"][0]["volumeMounts"]
    (volume,) = pod["volumes"]
    assert mount == {"name": volume["name"], "mountPath": "/tmp"}
    assert mebibytes(volume["emptyDir"]["sizeLimit"]) == 3 * 300
    more = container_of("shop", *options[:-1], "4")["resources"]
    assert mebibytes(more["limits"]["memory"]) - mebibytes(resources["limits"]["memory"]) > 100
    assert container_of("shop")["resources"]["limits"]["cpu"] == "1", "auto counts this limit"


def test_a_pod_is_well_enclosed() -> None:
    pod = pod_of("shop")
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("-b", "unix:/tmp/a.sock"), "a Service leads to a TCP port, but there is none: add --bind :8000"),
        (
            ("-b", ":80", "-b", "unix:/run/a.sock"),
            "unix:/run/a.sock: in the pod no files can be made but below /tmp",
        ),
    ],
)
def test_says_what_a_pod_cannot_have(options: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(OperatorError) as failure:
        generated("k8s", "shop", *options)
    assert failure.value.message == f"--bind on the command line: {sentence}"


def test_the_image_and_the_pod_are_the_same_user() -> None:
    user = only(last_stage(dockerfile("shop")), "USER").partition(":")[0]
    assert pod_of("shop")["securityContext"]["runAsUser"] == int(user)


def test_says_what_is_different_in_a_container() -> None:
    head = " ".join(head_of(generated("dockerfile", "shop", "--access-log", "a.log")).split())
    assert "It listens on 0.0.0.0:8000 instead of 127.0.0.1:8000" in head
    assert "The access log goes to standard output instead of a.log." in head
    assert "portico serves /healthz itself" in head
    assert f"believed from {' '.join(Settings.forwarded_allow_ips.default)} (forwarded_allow_ips)" in head
