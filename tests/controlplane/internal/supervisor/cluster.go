package supervisor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync"
)

// administrators is the group with all permissions, independent of RBAC.
const administrators = "system:masters"

// cluster is a control plane with its nodes.
type cluster struct {
	folder   *folder
	ports    *ports
	pki      *pki
	tls      *tls.Config
	launcher launcher
	// end stops the supervisor with this cause.
	end func(error)

	// kubeconfig is the path of the administrator's kubeconfig.
	kubeconfig string
	parts      *parts
}

// newCluster prepares all files of a cluster. It does not start any part.
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

// start starts all parts and returns when pods can be created and run.
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

// kill kills all parts. A graceful stop is not needed, because the folder is removed
// next.
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
