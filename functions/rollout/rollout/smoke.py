"""CodeDeploy's hook BeforeAllowTraffic: asks the new version one question, and reports whether it answers well.

CodeDeploy invokes the hook asynchronously with the ids of the deployment and of this execution, and waits for up to an
hour for the report. So every run reports, also one that fails by an error of its own: a deployment without a report
would keep CloudFormation waiting. Idempotent: Lambda repeats a run that raised, and CodeDeploy keeps the first report.
"""

from __future__ import annotations

import json
import re
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mercato.dataclass import dataclass
from mercato.invocation import deadline
from mercato.telemetry import correlation
from mercato.telemetry.logs import log
from rollout import questions
from rollout.wiring import ports

_REPORTED = "LifecycleEventAlreadyCompletedException"
# The AppSpec is JSON or YAML, and the layer has no parser of YAML.
_NAME = re.compile(r"""\bName["']?\s*:\s*["']?([\w:-]+)""")
_VERSION = re.compile(r"""\bTargetVersion["']?\s*:\s*["']?(\d+)""")


class Unfit(Exception):
    """The version must not get calls."""


@dataclass(frozen=True)
class Version:
    function: str
    number: str


def handler(event: dict[str, Any], context: Any) -> None:
    """Raises KeyError for an event that names no deployment, since there is nothing to report to."""
    deployment, execution = event["DeploymentId"], event["LifecycleEventHookExecutionId"]
    with correlation.bound(correlation.accept(deployment)), deadline.of_invocation(context):
        status = "Failed"
        try:
            version = _version_of(deployment)
            _test(version)
            log.info("version is fit", extra={"function": version.function, "version": version.number})
            status = "Succeeded"
        except (Unfit, ClientError, BotoCoreError) as error:
            log.error("version is not fit", extra={"deployment": deployment, "reason": str(error)})
        finally:
            _report(deployment, execution, status)


def _version_of(deployment: str) -> Version:
    """The version that the deployment is about to give calls."""
    revision = ports().codedeploy.get_deployment(deploymentId=deployment)["deploymentInfo"].get("revision", {})
    spec = revision.get("appSpecContent") or revision.get("string") or {}
    name, number = _NAME.search(spec.get("content", "")), _VERSION.search(spec.get("content", ""))
    if name is None or number is None:
        raise Unfit(f"the deployment's AppSpec names no function and version: {str(spec)[:500]}")
    return Version(name[1], number[1])


def _test(version: Version) -> None:
    question = questions.question_for(version.function)
    if question is None:
        raise Unfit(f"rollout.questions has no question for {version.function}")
    told = ports().functions.invoke(
        FunctionName=version.function, Qualifier=version.number, Payload=json.dumps(question.event).encode()
    )
    text = told["Payload"].read().decode(errors="replace")
    try:
        is_well = question.is_well(json.loads(text))
    except ValueError:
        is_well = False
    if not is_well:
        error = told.get("FunctionError", "no error of the function")
        raise Unfit(f"version {version.number} of {version.function} answered ({error}): {text[:1000]}")


def _report(deployment: str, execution: str, status: str) -> None:
    try:
        ports().codedeploy.put_lifecycle_event_hook_execution_status(
            deploymentId=deployment, lifecycleEventHookExecutionId=execution, status=status
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != _REPORTED:
            raise
        log.info("deployment has its report", extra={"deployment": deployment})
