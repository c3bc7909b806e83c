// A webhook with controller-runtime, set up as kubebuilder does. It reads claims and
// classes from the manager's cache.
//
// In its favor, it does less than colocate: it knows two kinds and one annotation, and
// does not wait for claims.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"

	"go.uber.org/zap/zapcore"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

func main() {
	cert := flag.String("tls-cert", "", "the certificate, as PEM")
	key := flag.String("tls-key", "", "its key, as PEM")
	flag.Parse() // also reads --kubeconfig, which client-go's config package registers
	ctrl.SetLogger(zap.New(zap.JSONEncoder(func(config *zapcore.EncoderConfig) {
		// The keys of colocate's log.
		config.MessageKey = "message"
		config.EncodeLevel = zapcore.CapitalLevelEncoder
	})))
	if err := run(ctrl.SetupSignalHandler(), *cert, *key); err != nil {
		ctrl.Log.Error(err, "cannot serve")
		os.Exit(1)
	}
}

func run(ctx context.Context, cert, key string) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	admin, err := freePort()
	if err != nil {
		return err
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	shared := true
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: clientgoscheme.Scheme,
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
			// The webhook does not change cached objects, so it need not copy them.
			DefaultUnsafeDisableDeepCopy: &shared,
		},
		WebhookServer: webhook.NewServer(webhook.Options{
			Host:     "127.0.0.1",
			Port:     port.Port,
			CertDir:  filepath.Dir(cert),
			CertName: filepath.Base(cert),
			KeyName:  filepath.Base(key),
			TLSOpts:  []func(*tls.Config){func(config *tls.Config) { config.MinVersion = tls.VersionTLS13 }},
		}),
		HealthProbeBindAddress: admin.String(),
		Metrics:                server.Options{BindAddress: "127.0.0.1:0"},
	})
	if err != nil {
		return err
	}
	// Without these, the first review would start the informers.
	for _, object := range []client.Object{&corev1.PersistentVolumeClaim{}, &storagev1.StorageClass{}} {
		if _, err := mgr.GetCache().GetInformer(ctx, object, cache.BlockUntilSynced(false)); err != nil {
			return err
		}
	}
	mgr.GetWebhookServer().Register("/mutate", &webhook.Admission{Handler: &schedulerSetter{
		reader:  mgr.GetClient(),
		decoder: admission.NewDecoder(mgr.GetScheme()),
	}})
	if err := mgr.AddReadyzCheck("webhook", mgr.GetWebhookServer().StartedChecker()); err != nil {
		return err
	}
	// The manager runs this once the caches have synced.
	serving := manager.RunnableFunc(func(context.Context) error {
		// An idle process would collect the garbage of the lists only after two minutes.
		debug.FreeOSMemory()
		ctrl.Log.Info("serving", "listen", port.String(), "admin", admin.String())
		return nil
	})
	if err := mgr.Add(serving); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// freePort returns an address with a port that is free now. A webhook server with port 0
// would use its default port.
func freePort() (*net.TCPAddr, error) {
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	return listener.Addr().(*net.TCPAddr), listener.Close()
}
