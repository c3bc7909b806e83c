// A webhook with net/http and encoding/json that decodes only the fields it needs. It
// reads claims and classes from informers of client-go that keep only the names.
//
// In its favor, it does less than colocate: it knows one annotation, and does not wait for
// claims.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	cert := flag.String("tls-cert", "", "the certificate, as PEM")
	key := flag.String("tls-key", "", "its key, as PEM")
	flag.Parse()
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: rename})))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *cert, *key); err != nil {
		slog.Error("cannot serve", "error", err)
		os.Exit(1)
	}
}

// rename gives the message the key that it has in colocate's log.
func rename(_ []string, attr slog.Attr) slog.Attr {
	if attr.Key == slog.MessageKey {
		attr.Key = "message"
	}
	return attr
}

func run(ctx context.Context, cert, key string) error {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	config.ContentType = "application/vnd.kubernetes.protobuf"
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	claims, err := watchClaims(ctx, clients)
	if err != nil {
		return err
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	probes := http.NewServeMux()
	probes.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	go func() { _ = http.Serve(admin, probes) }()

	mux := http.NewServeMux()
	mux.HandleFunc("POST /mutate", claims.mutate)
	server := http.Server{Handler: mux, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13}}
	go func() {
		<-ctx.Done()
		_ = server.Shutdown(context.Background())
	}()
	slog.Info("serving", "listen", listener.Addr().String(), "admin", admin.Addr().String())
	if err := server.ServeTLS(listener, cert, key); err != http.ErrServerClosed {
		return err
	}
	return nil
}
