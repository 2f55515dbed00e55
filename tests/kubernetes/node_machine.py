"""A machine that is a node and the control plane of Kubernetes.

Kubernetes, CoreDNS for the names, and kube-router for the NetworkPolicies are compiled from Go
modules; Traefik is the ingress controller; etcd, containerd, runc and the network's plugins are
Debian's. `node/etc` has the configuration, and a unit for each of them.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy.images import Images
from testbed.engine import IMAGE, PROGRAMS, engine_machine
from testbed.machine import Machine

_NAMES = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-router",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)
_TABLES = [f"{name}tables{end}" for name in ("ip", "ip6") for end in ("", "-restore", "-save")]
_UNITS = ("coredns", *(name for name in _NAMES if name != "kubectl"))
_VOLUMES = 4
_ETC = Path(__file__).parent / "node/etc"
# Debian's packages link iptables when they are installed. Of the kernel's settings, only those of
# the network are the machine's own; a kubelet would change others, which are those of the real one.
# It also insists on reading the messages of the kernel.
_PREPARE = """\
cp -r node/etc/. /etc
rm -r node/etc
mv node/* {programs}
mv {programs}/dns {programs}/coredns
for name in {names}; do ln -s node {programs}/$name; done
for name in {tables}; do ln -s /usr/sbin/xtables-nft-multi {programs}/$name; done
mkdir /root/.kube
ln -s /etc/kubernetes/kubeconfig /root/.kube/config
mkdir /etc/kubernetes/pki /run/proc
mount -t proc proc /run/proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount --bind /run/proc/sys/net /proc/sys/net
mount --make-rshared /
ln -s null /dev/kmsg
cd /etc/kubernetes/pki
pair() {{ openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 \
  -keyout $1.key -out $1.crt -subj "$2" -addext "subjectAltName=$3"; }}
pair server /CN=server IP:192.0.2.1,IP:10.96.0.1,DNS:kubernetes.default.svc
pair admin /O=system:masters/CN=admin DNS:admin
openssl genrsa -out accounts.key 2048
systemctl daemon-reload
systemctl start containerd etcd
podman build --quiet --tag localhost/pause:1 - <<< $'FROM localhost/services\n\
ENTRYPOINT ["/usr/bin/sleep", "infinity"]'
podman save --quiet --multi-image-archive {images} localhost/pause:1 \
  | ctr --namespace k8s.io images import -
"""
_START = """\
export PATH={programs}:$PATH
systemctl start {units}
until kubectl get --raw /readyz; do sleep 1; done
until kubectl -n default get serviceaccount default; do sleep 1; done
until kubectl apply --server-side -f /etc/kubernetes/cluster.yaml; do sleep 1; done
kubectl apply --server-side -f /etc/kubernetes/kinds.yaml
systemctl start traefik
for number in $(seq {volumes}); do
  mkdir -p volumes/disk$number
  sed "s/NAME/disk$number/" /etc/kubernetes/volume.yaml | kubectl apply -f -
done
until kubectl wait --for=condition=Ready node/node; do sleep 1; done
"""
# What is printed at the end.
_STATE = """\
{programs}/kubectl get pods --all-namespaces -o wide
{programs}/kubectl get events --all-namespaces --field-selector=type=Warning | tail -30
for unit in /etc/systemd/system/*.service; do
  journalctl --unit=$(basename $unit) --lines=5 --no-pager --output=cat
done
"""


@contextmanager
def node_machine(
    services_root: Path,
    layout: Path,
    folder: Path,
    programs: Sequence[Path],
    kinds: Sequence[Path],
) -> Iterator[Machine]:
    """Run a machine that is a node, with `docker`, `kubectl` and a certificate for example.com.

    Args:
        services_root: the unpacked packages.
        layout: the OCI layout of this image.
        folder: an empty folder.
        programs: the programs `dns`, `node` and `traefik`.
        kinds: the files with the definitions of custom kinds.

    Raises:
        AssertionError: if it does not start.
    """
    with engine_machine(services_root, layout, folder) as machine:
        target = machine.work / "node"
        target.mkdir()
        for path in programs:
            shutil.copy(path, target)
        shutil.copytree(_ETC, target / "etc")
        text = "---\n".join(path.read_text() for path in kinds)
        (target / "etc/kubernetes/kinds.yaml").write_text(text)
        images = Images()
        machine.run(
            _PREPARE.format(
                images=" ".join(
                    (IMAGE, images.postgres_image, images.redis_image, images.proxy_image)
                ),
                names=" ".join(_NAMES),
                programs=PROGRAMS,
                tables=" ".join(_TABLES),
            )
        )
        try:
            machine.run(
                _START.format(programs=PROGRAMS, units=" ".join(_UNITS), volumes=_VOLUMES),
                seconds=300,
            )
            yield machine
        finally:
            print(machine.run(_STATE.format(programs=PROGRAMS), check=False).stdout)
