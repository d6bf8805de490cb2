"""The deployed stack: its resources, and the steps that a local deploy needs afterwards."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra import templates
from infra.local.cloud import REGION, Cloud
from infra.operator.target import Account, State, tables_of
from infra.trouble import Trouble

STACK = "mercato"


@dataclass(frozen=True)
class Stack:
    """The deployed stack's outputs and resources. `environment` is the template's parameter and the API's stage."""

    cloud: Cloud
    name: str
    environment: str
    outputs: dict[str, str]
    functions: dict[str, str]
    secrets: dict[str, str]

    @classmethod
    def read(cls, cloud: Cloud, name: str = STACK, environment: str = "local") -> Stack:
        cloudformation = cloud.client("cloudformation")
        found = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
        resources: dict[str, dict[str, str]] = {"AWS::Lambda::Function": {}, "AWS::SecretsManager::Secret": {}}
        for resource in _resources(cloudformation, name):
            if resource["ResourceType"] in resources:
                resources[resource["ResourceType"]][resource["LogicalResourceId"]] = resource["PhysicalResourceId"]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in found}
        return cls(cloud, name, environment, outputs, *resources.values())

    @property
    def tables(self) -> dict[str, str]:
        """The table names by service: orders, payments, …"""
        return tables_of(self.outputs)

    def api_url(self) -> str:
        """The stage's base URL, with the id that the API has now."""
        found = self.cloud.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"][0]["Outputs"]
        api_id = next(output["OutputValue"] for output in found if output["OutputKey"] == "ApiId")
        return f"{self.cloud.endpoint}/_aws/execute-api/{api_id}/{self.environment}"

    def site_url(self, output: str) -> str:
        """Returns the base URL of a site's HTTP API. `output` is the stack's output with the API's id."""
        return f"{self.cloud.endpoint}/_aws/execute-api/{self.outputs[output]}/$default"

    def signed_media_url(self, key: str) -> str:
        """Returns a presigned URL of a file in the private bucket of pictures."""
        s3 = self.cloud.client("s3")
        url: str = s3.generate_presigned_url("get_object", Params={"Bucket": self.outputs["MediaBucket"], "Key": key})
        return url

    def function_url_paths(self) -> dict[str, str]:
        """Maps each registered service to the path at which the emulator serves its function URL, or the shop's API."""
        functions = self.cloud.client("lambda")
        found = {}
        for service in self._services():
            if service["Name"] == "api":
                found["api"] = f"/_aws/execute-api/{self.outputs['ApiId']}/{self.environment}"
                continue
            function = self.functions[f"{service['Name'].capitalize()}Api"]
            url = functions.get_function_url_config(FunctionName=function, Qualifier="live")["FunctionUrl"]
            found[service["Name"]] = f"/_aws/lambda-url/{url.split('//')[1].split('.')[0]}"
        return found

    def register_local_urls(self, endpoint: str, only: Collection[str] = ()) -> None:
        """Replaces the functions' AWS URLs in Cloud Map, which do not work locally, with local URLs.

        `endpoint` is the cloud or a proxy in front of it. `only` names the services to change; empty means all.
        """
        registry = self.cloud.client("servicediscovery")
        paths = self.function_url_paths()
        for service in self._services():
            if only and service["Name"] not in only:
                continue
            for instance in registry.list_instances(ServiceId=service["Id"])["Instances"]:
                attributes = instance["Attributes"] | {"url": endpoint + paths[service["Name"]]}
                registry.register_instance(ServiceId=service["Id"], InstanceId=instance["Id"], Attributes=attributes)

    def _services(self) -> list[dict[str, Any]]:
        """Returns the services of the stack's namespace. The emulator's list has no filter and shows no namespace."""
        registry = self.cloud.client("servicediscovery")
        described = [registry.get_service(Id=one["Id"])["Service"] for one in registry.list_services()["Services"]]
        return [one for one in described if one["NamespaceId"] == self.outputs["NamespaceId"]]

    def answer_as_the_template_says(self, template: Path) -> None:
        """Sets the gateway's responses (401, 404, …). The emulator does not read them from the API's definition."""
        resources = templates.read_whole(template)["Resources"]
        gateway, api = self.cloud.client("apigateway"), self.outputs["ApiId"]
        for kind, answer in resources["Api"]["Properties"]["GatewayResponses"].items():
            headers = answer.get("ResponseParameters", {}).get("Headers", {})
            gateway.put_gateway_response(
                restApiId=api,
                responseType=kind,
                responseParameters={f"gatewayresponse.header.{name}": value for name, value in headers.items()},
                responseTemplates=answer.get("ResponseTemplates", {}),
                **({"statusCode": str(answer["StatusCode"])} if "StatusCode" in answer else {}),
            )
        gateway.create_deployment(restApiId=api, stageName=self.environment)

    def handlers(self) -> dict[str, str]:
        """Maps each function's logical id to its handler."""
        functions = self.cloud.client("lambda")
        return {
            name: functions.get_function_configuration(FunctionName=function)["Handler"]
            for name, function in self.functions.items()
        }

    def verify_sender(self) -> None:
        """Creates the sender's SES identity. On AWS an operator does this before the first deploy. Idempotent."""
        [stack] = self.cloud.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        [sender] = [one["ParameterValue"] for one in stack["Parameters"] if one["ParameterKey"] == "FromAddress"]
        ses = self.cloud.client("sesv2")
        try:
            ses.create_email_identity(EmailIdentity=sender)
        except ses.exceptions.AlreadyExistsException:
            return

    def make_signing_keys(self) -> None:
        self.invoke("UsersKeys", {"if_missing": True})

    def put_secret(self, logical_id: str, value: str) -> None:
        secrets = self.cloud.client("secretsmanager")
        secrets.put_secret_value(SecretId=self.secrets[logical_id], SecretString=value)

    def secret(self, logical_id: str) -> str:
        secrets = self.cloud.client("secretsmanager")
        value: str = secrets.get_secret_value(SecretId=self.secrets[logical_id])["SecretString"]
        return value

    def invoke(self, logical_id: str, payload: Any) -> Any:
        answer = self.cloud.client("lambda").invoke(
            FunctionName=self.functions[logical_id], Payload=json.dumps(payload).encode()
        )
        text = answer["Payload"].read().decode()
        if "FunctionError" in answer:
            raise Trouble(f"{logical_id} failed", text[:2000])
        return json.loads(text) if text else None

    def state(
        self,
        base_url: str,
        functions_endpoint: str,
        admin: Account,
        customer: Account,
        stripe_api: str,
        mesh_ingress: str = "",
    ) -> State:
        return State(
            base_url=base_url,
            endpoint=self.cloud.endpoint,
            functions_endpoint=functions_endpoint,
            region=REGION,
            stack=self.name,
            outputs=self.outputs,
            tables=self.tables,
            queues_prefix=f"{self.name}-",
            admin=admin,
            customer=customer,
            stripe_api=stripe_api,
            mesh_ingress=mesh_ingress,
        )


def _resources(cloudformation: Any, stack: str) -> Iterator[dict[str, Any]]:
    """Yields the resources of the stack and of its nested stacks."""
    for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack):
        for resource in page["StackResourceSummaries"]:
            if resource["ResourceType"] == "AWS::CloudFormation::Stack":
                yield from _resources(cloudformation, resource["PhysicalResourceId"])
            else:
                yield resource
