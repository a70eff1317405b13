"""Spark: a standalone master and workers with authentication and encryption, and Spark's own pages.

The master runs below `podium_workspace.spark_scheduler`, which guards the dashboard's port with a token,
relays to the master's pages and adds the two routes that `state_request` and `drain_requests` ask, for the
master alone knows neither which jobs run nor when a decommissioned worker is empty. Nothing here may do I/O.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping

from hub.clusters.base import Context, Dashboard, Framework, NotebookPart
from hub.keys import Keys
from hub.settings import Resources
from hub.workload import Probe, Workload

MASTER = "spark://@{spark-scheduler.host}:@{spark-scheduler.rpc}"
SCRATCH = "@{scratch}/spark"
LEAST_HEAP = 512
"""Mebibytes below which Spark starts neither a driver nor an executor. Source: `UnifiedMemoryManager`."""
FRUGAL = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
"""Master, worker and driver plan and pass on, and do not compute. So they need half the processor time until
they are up, and master and worker 60 MB less each; executors are left as they are, for they do compute."""
DAEMON = {"SPARK_DAEMON_MEMORY": "128m", "SPARK_DAEMON_JAVA_OPTS": FRUGAL}
LOGGING = """\
rootLogger.level = {level}
rootLogger.appenderRef.stderr.ref = stderr
appender.console.type = Console
appender.console.name = stderr
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{{HH:mm:ss}} %p %c{{1}}: %m%n%ex
logger.shell.name = org.apache.spark.api.python.PythonGatewayServer
logger.shell.level = {level}
"""


class Spark(Framework):
    """Spark as Podium sees it; the one instance is `SPARK`."""

    def scheduler(self, context: Context) -> Workload:
        """The master, ready once it takes workers and applications."""
        settings = context.settings
        # One application may have half of what the workspace may grow to, so that a second one finds room.
        half = -(-settings.max_workers // 2) * cores(settings.resources.worker)
        own = {
            "spark.deploy.defaultCores": str(max(1, half)),
            "spark.deploy.recoveryMode": "FILESYSTEM",
            "spark.deploy.recoveryDirectory": f"{SCRATCH}/recovery",
            "spark.deploy.recoveryTimeout": "10s",
            "spark.master.rest.enabled": "false",
            # A port that is taken is a mistake to be told, not a reason to listen on another one.
            "spark.port.maxRetries": "0",
        }
        return Workload(
            name="spark-scheduler",
            role="scheduler",
            cluster="spark",
            command=(
                *("python", "-m", "podium_workspace.spark_scheduler"),
                *("--host", "@{host}", "--port", "@{spark-scheduler.dashboard}"),
                # Where others reach it, now and when it runs elsewhere; to itself that is its own address.
                *("--rpc-host", "@{spark-scheduler.host}", "--rpc-port", "@{spark-scheduler.rpc}"),
                *("--ui-port", "@{spark-scheduler.ui}"),
                *("--prefix", self.route(context), "--files", "@{files}/spark"),
            ),
            env=environment() | DAEMON,
            files=files(context, own, "warn")
            | token_file(context)
            | {"spark/ui-token": ui_token(context.keys)},
            ports={"rpc": 7077, "dashboard": 8080, "ui": 8081},
            resources=settings.resources.scheduler,
            probe=Probe("dashboard", "/health"),
        )

    def worker(self, context: Context, replicas: int) -> Workload:
        """The workers; each is one executor's size, and told apart by the address it has for itself."""
        resources = context.settings.resources.worker
        # Worker ids lead back to instances: the name, then when and where it was started.
        ids = {"SPARK_WORKER_OPTS": "-Dspark.worker.idPattern=@{instance}.%s.%s.%d"}
        return Workload(
            name="spark-worker",
            role="worker",
            cluster="spark",
            command=(
                *("python", "-m", "podium_workspace.spark_worker"),
                *("@{spark-scheduler.host}", "@{spark-scheduler.rpc}"),
                *("--host", "@{host}", "--port", "0", "--webui-port", "0"),
                *("--cores", str(cores(resources)), "--memory", f"{heap(resources)}m"),
                *("--work-dir", f"{SCRATCH}/work/@{{instance}}"),
            ),
            env=environment() | DAEMON | ids,
            files=files(context, {"spark.worker.cleanup.enabled": "true"}, "warn") | token_file(context),
            resources=resources,
            replicas=replicas,
            leave=self.leave(context),
        )

    def notebook(self, context: Context) -> NotebookPart:
        """`SparkSession.builder.getOrCreate()` reaches the cluster; several notebooks may do so at once."""
        resources = context.settings.resources
        own = {
            "spark.master": MASTER,
            "spark.driver.memory": f"{heap(resources.notebook)}m",
            "spark.driver.defaultJavaOptions": FRUGAL,
            "spark.executor.cores": str(cores(resources.worker)),
            "spark.executor.memory": f"{heap(resources.worker)}m",
            # Each session takes whatever port is free for its pages; the master knows it and relays to it.
            "spark.ui.port": "0",
            "spark.ui.showConsoleProgress": "false",
        }
        return NotebookPart(
            # The local host name is what executors and the master are told of the driver.
            env=environment() | {"PYSPARK_PYTHON": "python", "SPARK_LOCAL_HOSTNAME": "@{host}"},
            files=files(context, own, "error"),
        )


def cores(resources: Resources) -> int:
    """How many tasks a worker runs at once."""
    return max(1, int(resources.cpu))


def heap(resources: Resources) -> int:
    """The Java heap, in MiB, of a driver or an executor that has these resources to itself.

    A quarter of a GiB is for what runs beside it (the worker's own process, the notebook's kernel), and three
    tenths of the rest for Python and for what Java needs outside its heap.
    """
    return max(LEAST_HEAP, (resources.mebibytes - 256) * 7 // 10)


def environment() -> dict[str, str]:
    """What every process of Spark needs: its settings, the address it listens on, and its scratch folder."""
    return {
        "SPARK_CONF_DIR": "@{files}/spark",
        "SPARK_LOCAL_IP": "@{host}",
        "SPARK_LOCAL_DIRS": f"{SCRATCH}/local",
        "SPARK_LAUNCHER_OPTS": FRUGAL,
    }


def files(context: Context, own: Mapping[str, str], level: str) -> dict[str, str]:
    """Spark's configuration folder.

    Args:
        own: settings of this process, besides those that all have in common.
        level: the least severe messages that are logged.
    """
    keys = context.keys
    jws = "org.apache.spark.ui.JWSFilter"
    common = {
        "spark.authenticate": "true",
        "spark.authenticate.secret": keys.token("spark-secret"),
        "spark.network.crypto.enabled": "true",
        "spark.decommission.enabled": "true",
        "spark.storage.decommission.enabled": "true",
        # How long an executor that leaves rests until it looks for more to give away, and at last finds none.
        "spark.storage.decommission.replicationReattemptInterval": "1s",
        "spark.ui.filters": jws,
        f"spark.{jws}.param.secretKey": urlsafe(keys.raw("spark-ui")),
        "spark.ui.reverseProxy": "true",
        "spark.ui.reverseProxyUrl": SPARK.route(context),
    }
    lines = [f"{name} {value}\n" for name, value in sorted((common | dict(own)).items())]
    return {
        "spark/spark-defaults.conf": "".join(lines),
        "spark/log4j2.properties": LOGGING.format(level=level),
    }


def token_file(context: Context) -> dict[str, str]:
    """What the dashboard's port asks for, where master and workers look for it."""
    return {"spark/token": context.keys.token("spark")}


def ui_token(keys: Keys) -> str:
    """The token that the pages of master, workers and drivers ask for; it holds for the workspace's life.

    Source: RFC 7515 (JSON Web Signature), and `JWSFilter` in Spark.
    """
    text = ".".join(urlsafe(part) for part in (b'{"alg":"HS256","typ":"JWT"}', b'{"sub":"podium"}'))
    signature = hmac.new(keys.raw("spark-ui"), text.encode(), hashlib.sha256).digest()
    return f"{text}.{urlsafe(signature)}"


def urlsafe(data: bytes) -> str:
    """Base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


SPARK = Spark(
    name="spark",
    title="Spark",
    dashboard=Dashboard("spark-scheduler", "dashboard", "", strip=True),
    drains_busy=True,
)
