"""moto_server with five gaps closed: four that the real kops CLI runs into, one of AWS KMS (moto 5.2.1).

    python3 moto_kops.py -H 127.0.0.1 -p 5590

Without it: DescribeWarmPool of a group that is not there yet answers 500 (kops retries for ten minutes);
an instance always reports its group's newest launch-template version (rolling-update never finds work);
replacing an instance whose template has two versions answers 500 and leaves the group empty;
a security-group rule for a protocol without ports (calico's 4) answers 500;
EnableKey and DisableKey take an id and no ARN.
"""
import inspect
import sys

from moto.autoscaling import models as autoscaling
from moto.core.types import Base64EncodedString
from moto.ec2.models import launch_templates, security_groups
from moto.kms.models import KmsBackend
from moto.server import main


def warm_pool(self, group_name):
    groups = self.describe_auto_scaling_groups([group_name])
    return groups[0].get_warm_pool() if groups else None


autoscaling.AutoScalingBackend.describe_warm_pool = warm_pool

newest = autoscaling.InstanceState.launch_template.fget
begin = autoscaling.InstanceState.__init__


def born(self, *args, **kwargs):
    begin(self, *args, **kwargs)
    now = newest(self)
    if now and not hasattr(self.instance, "born_version"):
        self.instance.born_version = now["Version"]


def launch_template(self):
    now = newest(self)
    return dict(now, Version=getattr(self.instance, "born_version", now["Version"])) if now else None


autoscaling.InstanceState.__init__ = born
autoscaling.InstanceState.launch_template = property(launch_template)


def user_data(self):
    data = self.data.get("UserData")
    return data if data is None or isinstance(data, Base64EncodedString) else Base64EncodedString(data)


launch_templates.LaunchTemplateVersion.user_data = property(user_data)

rule = security_groups.SecurityGroupRule.__init__
signature = inspect.signature(rule)


def portless(self, *args, **kwargs):
    bound = signature.bind(self, *args, **kwargs)
    for name in ("from_port", "to_port"):
        if bound.arguments.get(name) is None and bound.arguments.get("ip_protocol") != "-1":
            bound.arguments[name] = 0
    rule(*bound.args, **bound.kwargs)


security_groups.SecurityGroupRule.__init__ = portless

for action in ("enable_key", "disable_key"):
    def by_arn(self, key_id, by_id=getattr(KmsBackend, action)):
        by_id(self, KmsBackend.get_key_id(key_id))

    setattr(KmsBackend, action, by_arn)

if __name__ == "__main__":
    main(sys.argv[1:])
