package supervisor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync"
)

// administrators is the group that may do everything, whatever RBAC says.
const administrators = "system:masters"

// cluster is a control plane with its nodes.
type cluster struct {
	folder   *folder
	ports    *ports
	pki      *pki
	tls      *tls.Config
	launcher launcher
	// end ends the run of the supervisor, and says why.
	end func(error)

	// kubeconfig is the administrator's.
	kubeconfig string
	parts      *parts
}

// newCluster prepares all files of a cluster. Nothing runs yet.
func newCluster(f *folder, o *options, end func(error)) (*cluster, error) {
	c := &cluster{folder: f, launcher: newLauncher(), end: end}
	var err error
	if c.ports, err = newPorts(); err != nil {
		return nil, err
	}
	if c.pki, err = newPKI(f); err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(c.pki.ca.certificate)
	c.tls = &tls.Config{RootCAs: roots}
	if c.kubeconfig, err = c.newKubeconfig("admin", "admin", administrators); err != nil {
		return nil, err
	}
	if c.parts, err = c.newParts(o); err != nil {
		return nil, err
	}
	return c, nil
}

// start returns when pods can be made and run.
func (c *cluster) start(ctx context.Context, nodes int, say func(string, ...any)) error {
	for _, part := range []*part{c.parts.etcd, c.parts.apiserver} {
		say("starting %s", part.name)
		if err := part.start(ctx); err != nil {
			return err
		}
	}
	say("starting kube-controller-manager, kube-scheduler and kwok")
	if err := startTogether(ctx, c.parts.controllerManager, c.parts.scheduler, c.parts.kwok); err != nil {
		return err
	}
	client, err := newClientset(c.kubeconfig)
	if err != nil {
		return err
	}
	if err := waitForServiceAccount(ctx, client); err != nil {
		return err
	}
	say("starting %d nodes", nodes)
	return newNodes(ctx, client, nodes)
}

func startTogether(ctx context.Context, parts ...*part) error {
	var group sync.WaitGroup
	failures := make([]error, len(parts))
	for i, part := range parts {
		group.Go(func() { failures[i] = part.start(ctx) })
	}
	group.Wait()
	return errors.Join(failures...)
}

// kill ends all parts. Nothing is worth an orderly end: the folder goes next.
func (c *cluster) kill() {
	all := c.parts.all()
	for i := len(all) - 1; i >= 0; i-- {
		_ = all[i].kill()
	}
}

func (c *cluster) newKubeconfig(name, user string, groups ...string) (string, error) {
	return c.pki.newKubeconfig(c.folder, name, "https://"+c.ports.apiserver.address(), user, groups...)
}

func (c *cluster) auditLog() string {
	return c.folder.join("audit.log")
}
