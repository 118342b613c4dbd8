"""Sessions of ours on the Spark cluster, beside those of dbt: for training and for scoring."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestration.forms.cluster import ClusterSettings
from orchestration.forms.errors import GroupMissingError, UnreachableError
from orchestration.forms.local_cluster import SESSION_SETTINGS
from orchestration.settings import PROJECT_ROOT, PlatformSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@contextmanager
def spark_session(settings: PlatformSettings, cluster: ClusterSettings, name: str) -> "Iterator[SparkSession]":
    """Open a session on the cluster's master and end it with the context.

    The workers import this code and its packages from the paths that they have here, and share the home.

    Args:
        settings: Settings of the platform.
        cluster: Where the cluster is.
        name: What Spark's own pages call the session.

    Raises:
        GroupMissingError: The packages of the cluster form are not installed.
        UnreachableError: Spark's master does not answer, or there is no Java here.
    """
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise GroupMissingError(
            "Training and scoring on Spark need pyspark, which is not installed: run `make env-cluster`."
        ) from error
    # The driver starts a Java program that reads them.
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    builder = SparkSession.builder.master(cluster.master_url).appName(f"kilowise {name}")
    secret = cluster.spark_secret(settings.home)
    choices = {
        **SESSION_SETTINGS,
        "spark.driver.host": cluster.host if cluster.master == "" else "",
        "spark.driver.bindAddress": cluster.host if cluster.master == "" else "",
        "spark.authenticate": "true" if secret else "",
        "spark.authenticate.secret": secret or "",
        "spark.executor.memory": cluster.worker_memory,
        "spark.executorEnv.PYTHONPATH": str(PROJECT_ROOT),
        # A task of training or scoring is one thread; so is a core.
        "spark.task.cpus": "1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
    }
    for key, value in choices.items():
        if value:
            builder = builder.config(key, value)
    try:
        session = builder.getOrCreate()
    except (PySparkException, OSError, RuntimeError) as error:
        raise UnreachableError(
            f"No session on Spark's master {cluster.master_url}: {str(error).splitlines()[0]}. Start the cluster "
            "(`make cluster-up` on one machine), or correct KILOWISE_CLUSTER_MASTER; Java 17 must be installed."
        ) from error
    try:
        yield session
    finally:
        session.stop()
