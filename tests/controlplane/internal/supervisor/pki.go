package supervisor

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// pair is a certificate and its key, in memory and in files of the folder.
type pair struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey

	certificatePEM, keyPEM   []byte
	certificateFile, keyFile string
}

// pki holds the certificates and keys with which the parts authenticate each other.
// They are created for each cluster and removed with its folder.
type pki struct {
	// ca signs the certificates of servers and clients.
	ca *pair
	// serving is the certificate of every server except etcd, which uses plain HTTP.
	serving *pair
	// frontProxyCA and frontProxy let the API server call extension servers. The CA
	// is separate because a client with one of its certificates can act as any user.
	frontProxyCA, frontProxy *pair
	// serviceAccountKey signs the tokens of ServiceAccounts.
	serviceAccountKey, serviceAccountPublicKey string
}

func newPKI(f *folder) (*pki, error) {
	p := &pki{}
	var err error
	if p.ca, err = newAuthority(f, "ca", "kubernetes"); err != nil {
		return nil, err
	}
	if p.serving, err = newServing(f, p.ca); err != nil {
		return nil, err
	}
	if p.frontProxyCA, err = newAuthority(f, "front-proxy-ca", "front-proxy"); err != nil {
		return nil, err
	}
	if p.frontProxy, err = newClient(f, p.frontProxyCA, "front-proxy", frontProxyUser); err != nil {
		return nil, err
	}
	if err := p.newServiceAccountKey(f); err != nil {
		return nil, err
	}
	return p, nil
}

func newAuthority(f *folder, name, commonName string) (*pair, error) {
	return newPair(f, name, nil, &x509.Certificate{
		Subject:               pkix.Name{CommonName: commonName},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	})
}

func newServing(f *folder, ca *pair) (*pair, error) {
	return newPair(f, "serving", ca, &x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.ParseIP(loopback), net.ParseIP(serviceIP)},
		DNSNames: []string{
			"localhost",
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		},
	})
}

func newClient(f *folder, ca *pair, name, user string, groups ...string) (*pair, error) {
	return newPair(f, name, ca, &x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// newPair creates a key and a certificate and writes both to files called name. The
// certificate is signed by ca, or self-signed if ca is nil.
func newPair(f *folder, name string, ca *pair, template *x509.Certificate) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	// Tests may verify the certificate at a time slightly in the past.
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().AddDate(1, 0, 0)

	parent, signer := template, key
	if ca != nil {
		parent, signer = ca.certificate, ca.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("sign certificate %s: %w", name, err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	p := &pair{
		certificate:     certificate,
		key:             key,
		certificatePEM:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		keyPEM:          keyPEM,
		certificateFile: f.join(name + ".crt"),
		keyFile:         f.join(name + ".key"),
	}
	if err := f.write(name+".crt", p.certificatePEM); err != nil {
		return nil, err
	}
	return p, f.write(name+".key", p.keyPEM)
}

func (p *pki) newServiceAccountKey(f *folder) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	private, err := encodeKey(key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	p.serviceAccountKey, p.serviceAccountPublicKey = f.join("service-account.key"), f.join("service-account.pub")
	if err := f.write("service-account.key", private); err != nil {
		return err
	}
	return f.write("service-account.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func encodeKey(key crypto.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// newKubeconfig issues a client certificate and writes a kubeconfig with it. Keys are
// embedded, so that the file can be copied elsewhere.
func (p *pki) newKubeconfig(f *folder, name, server, user string, groups ...string) (string, error) {
	client, err := newClient(f, p.ca, name, user, groups...)
	if err != nil {
		return "", err
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["colocate"] = &clientcmdapi.Cluster{
		Server:                   server,
		CertificateAuthorityData: p.ca.certificatePEM,
	}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{
		ClientCertificateData: client.certificatePEM,
		ClientKeyData:         client.keyPEM,
	}
	config.Contexts["colocate"] = &clientcmdapi.Context{Cluster: "colocate", AuthInfo: name}
	config.CurrentContext = "colocate"

	content, err := clientcmd.Write(*config)
	if err != nil {
		return "", err
	}
	file := name + ".kubeconfig"
	return f.join(file), f.write(file, content)
}
