package supervisor

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	nodefast "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	podfast "sigs.k8s.io/kwok/kustomize/stage/pod/fast"

	_ "embed"
)

const (
	loopback     = "127.0.0.1"
	serviceRange = "10.96.0.0/16"
	// serviceIP is the first address in serviceRange, which the Service `kubernetes`
	// gets.
	serviceIP = "10.96.0.1"
	// advertiseAddress is the address of the API server for pods. It must not be a
	// loopback address. This one is reserved for documentation (RFC 5737).
	advertiseAddress = "192.0.2.10"
	frontProxyUser   = "front-proxy-client"

	// High enough that client-side rate limits never delay a test.
	clientQPS   = 1000
	clientBurst = 2000
)

//go:embed audit-policy.yaml
var auditPolicy []byte

// parts holds the components of one cluster.
type parts struct {
	etcd, apiserver, controllerManager, scheduler, kwok *part
}

// all returns the parts in start order.
func (p *parts) all() []*part {
	return []*part{p.etcd, p.apiserver, p.controllerManager, p.scheduler, p.kwok}
}

// named returns the part with this name.
func (p *parts) named(name string) (*part, error) {
	var known []string
	for _, part := range p.all() {
		if part.name == name {
			return part, nil
		}
		known = append(known, part.name)
	}
	return nil, fmt.Errorf("unknown part %q: use one of %s", name, strings.Join(known, ", "))
}

// newParts writes the files that each part reads at start. It does not start them.
func (c *cluster) newParts(o *options) (*parts, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &parts{
		etcd:              c.newPart("etcd", self, "http", c.ports.etcd, "/readyz"),
		apiserver:         c.newPart("kube-apiserver", self, "https", c.ports.apiserver, "/readyz"),
		controllerManager: c.newPart("kube-controller-manager", self, "https", c.ports.controllerManager, "/healthz"),
		scheduler:         c.newPart("kube-scheduler", self, "https", c.ports.scheduler, "/healthz"),
		kwok:              c.newPart("kwok", filepath.Join(filepath.Dir(self), "kwok"), "http", c.ports.kwok, "/healthz"),
	}
	if o.kubernetes != "" {
		for _, part := range []*part{p.apiserver, p.controllerManager, p.scheduler} {
			part.program = filepath.Join(o.kubernetes, part.name)
		}
	}

	p.etcd.args = c.etcdArgs()
	if p.apiserver.args, err = c.apiserverArgs(); err != nil {
		return nil, err
	}
	if p.controllerManager.args, err = c.controllerManagerArgs(); err != nil {
		return nil, err
	}
	if p.scheduler.args, err = c.schedulerArgs(); err != nil {
		return nil, err
	}
	if p.kwok.args, err = c.kwokArgs(); err != nil {
		return nil, err
	}
	// Appended, because the last of several equal flags wins.
	p.apiserver.args = append(p.apiserver.args, o.apiserverArgs...)
	p.controllerManager.args = append(p.controllerManager.args, o.controllerManagerArgs...)
	p.scheduler.args = append(p.scheduler.args, o.schedulerArgs...)
	return p, nil
}

func (c *cluster) newPart(name, program, scheme string, port *port, health string) *part {
	return &part{
		name:    name,
		program: program,
		// The caller's environment is not passed on: ETCD_*, KWOK_* and proxy
		// variables would change the parts, and files would land outside of the folder.
		env:      []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.folder.path, "TMPDIR=" + c.folder.path},
		dir:      c.folder.path,
		health:   scheme + "://" + port.address() + health,
		client:   &http.Client{Transport: &http.Transport{TLSClientConfig: c.tls, DisableKeepAlives: true}},
		log:      c.folder.join(name + ".log"),
		launcher: c.launcher,
		died:     c.end,
	}
}

func (c *cluster) etcdArgs() []string {
	client, peer := "http://"+c.ports.etcd.address(), "http://"+c.ports.etcdPeer.address()
	return []string{
		"--name=etcd",
		"--data-dir=" + c.folder.join("etcd"),
		"--listen-client-urls=" + client,
		"--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=etcd=" + peer,
		// Data survives a killed etcd, but not a power failure. Neither does the
		// folder.
		"--unsafe-no-fsync",
	}
}

func (c *cluster) apiserverArgs() ([]string, error) {
	if err := c.folder.write("audit-policy.yaml", auditPolicy); err != nil {
		return nil, err
	}
	return []string{
		"--etcd-servers=http://" + c.ports.etcd.address(),
		"--bind-address=" + loopback,
		"--secure-port=" + strconv.Itoa(c.ports.apiserver.number),
		"--advertise-address=" + advertiseAddress,
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=" + serviceRange,
		"--tls-cert-file=" + c.pki.serving.certificateFile,
		"--tls-private-key-file=" + c.pki.serving.keyFile,
		"--client-ca-file=" + c.pki.ca.certificateFile,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.pki.serviceAccountPublicKey,
		"--service-account-signing-key-file=" + c.pki.serviceAccountKey,
		"--authorization-mode=Node,RBAC",
		"--allow-privileged=true",
		"--requestheader-client-ca-file=" + c.pki.frontProxyCA.certificateFile,
		"--requestheader-allowed-names=" + frontProxyUser,
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + c.pki.frontProxy.certificateFile,
		"--proxy-client-key-file=" + c.pki.frontProxy.keyFile,
		"--audit-policy-file=" + c.folder.join("audit-policy.yaml"),
		"--audit-log-path=" + c.auditLog(),
		// By default, graceful shutdown waits a minute for the components' watches.
		"--shutdown-watch-termination-grace-period=2s",
		// In MB. Rotation would hide lines from the test that reads the log.
		"--audit-log-maxsize=100000",
	}, nil
}

func (c *cluster) controllerManagerArgs() ([]string, error) {
	kubeconfig, err := c.newKubeconfig("kube-controller-manager", "system:kube-controller-manager")
	if err != nil {
		return nil, err
	}
	return append(c.servingArgs(c.ports.controllerManager),
		"--kubeconfig="+kubeconfig,
		fmt.Sprintf("--kube-api-qps=%d", clientQPS),
		fmt.Sprintf("--kube-api-burst=%d", clientBurst),
		"--leader-elect=false",
		"--use-service-account-credentials=true",
		"--service-account-private-key-file="+c.pki.serviceAccountKey,
		"--root-ca-file="+c.pki.ca.certificateFile,
		"--cluster-signing-cert-file="+c.pki.ca.certificateFile,
		"--cluster-signing-key-file="+c.pki.ca.keyFile,
		// Nodes do not send heartbeats, and tests may stop KWOK or the API server for
		// any length of time. Nodes stay Ready and pods are not evicted.
		"--node-monitor-grace-period=8760h",
		// Binds a claim soon after its volume appears, even if the claim came first.
		// The default is 15 s.
		"--pvclaimbinder-sync-period=1s",
		"--concurrent-deployment-syncs=20",
		"--concurrent-replicaset-syncs=20",
		"--concurrent-statefulset-syncs=20",
		"--concurrent-job-syncs=20",
		"--concurrent-namespace-syncs=20",
		"--concurrent-gc-syncs=40",
	), nil
}

func (c *cluster) schedulerArgs() ([]string, error) {
	kubeconfig, err := c.newKubeconfig("kube-scheduler", "system:kube-scheduler")
	if err != nil {
		return nil, err
	}
	// The profile `stork` replaces Stork's scheduler. Its name is also in the Events
	// of the pods that it binds.
	config := fmt.Sprintf(`apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection:
  kubeconfig: %q
  qps: %d
  burst: %d
leaderElection:
  leaderElect: false
podInitialBackoffSeconds: 1
podMaxBackoffSeconds: 1
profiles:
  - schedulerName: default-scheduler
  - schedulerName: stork
`, kubeconfig, clientQPS, clientBurst)
	if err := c.folder.write("kube-scheduler.yaml", []byte(config)); err != nil {
		return nil, err
	}
	return append(c.servingArgs(c.ports.scheduler), "--config="+c.folder.join("kube-scheduler.yaml")), nil
}

// servingArgs returns flags that let an administrator's certificate read a
// component's metrics even while the API server is stopped.
func (c *cluster) servingArgs(port *port) []string {
	return []string{
		"--bind-address=" + loopback,
		"--secure-port=" + strconv.Itoa(port.number),
		"--tls-cert-file=" + c.pki.serving.certificateFile,
		"--tls-private-key-file=" + c.pki.serving.keyFile,
		"--client-ca-file=" + c.pki.ca.certificateFile,
	}
}

func (c *cluster) kwokArgs() ([]string, error) {
	kubeconfig, err := c.newKubeconfig("kwok", "kwok", administrators)
	if err != nil {
		return nil, err
	}
	// KWOK does nothing without stages. These mark nodes Ready, pods Running and pods
	// of a Job Succeeded, and remove deleted pods.
	stages := strings.Join([]string{
		nodefast.DefaultNodeInit,
		podfast.DefaultPodReady,
		podfast.DefaultPodComplete,
		podfast.DefaultPodDelete,
	}, "\n---\n")
	if err := c.folder.write("kwok-stages.yaml", []byte(stages)); err != nil {
		return nil, err
	}
	return []string{
		"--kubeconfig=" + kubeconfig,
		"--config=" + c.folder.join("kwok-stages.yaml"),
		"--manage-all-nodes=true",
		// Disables node Leases. A restarted KWOK has a new identity and would ignore
		// all pods until the Leases of its predecessor expire.
		"--node-lease-duration-seconds=0",
		"--server-address=" + c.ports.kwok.address(),
	}, nil
}
