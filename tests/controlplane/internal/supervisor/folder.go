package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lockName is the file in a cluster's folder that its supervisor keeps locked. It
// also marks the folder as ours: nothing without it is ever removed.
const lockName = "supervisor.lock"

// folder is where one cluster keeps all of its files: keys, data, logs. It lives
// as long as its supervisor.
type folder struct {
	path string
	lock *os.File
}

// newFolder makes a folder of its own in parent, and removes those that
// supervisors left there when they were killed before they could clean up.
func newFolder(parent string) (*folder, error) {
	parent, err := filepath.Abs(parent)
	if err != nil {
		return nil, err
	}
	// Held while the new folder has no lock yet, lest another supervisor that
	// starts right now takes it for a dead one.
	guard, err := lock(parent, os.O_RDONLY, syscall.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer guard.Close()

	removeStale(parent)
	path, err := os.MkdirTemp(parent, "cluster-")
	if err != nil {
		return nil, fmt.Errorf("cannot write to %s: %w", parent, err)
	}
	held, err := lock(filepath.Join(path, lockName), os.O_CREATE|os.O_RDWR, syscall.LOCK_EX)
	if err != nil {
		_ = os.RemoveAll(path)
		return nil, err
	}
	return &folder{path: path, lock: held}, nil
}

// removeStale removes the folders whose supervisor is dead: the kernel dropped
// its lock. What cannot be removed is left to whoever owns parent.
func removeStale(parent string) {
	locks, _ := filepath.Glob(filepath.Join(parent, "cluster-*", lockName))
	for _, name := range locks {
		held, err := lock(name, os.O_RDWR, syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil {
			continue
		}
		_ = os.RemoveAll(filepath.Dir(name))
		held.Close()
	}
}

// lock opens a file or folder and takes its flock, which ends with this process.
// Children do not inherit it: Go opens everything close-on-exec.
func lock(path string, flags, how int) (*os.File, error) {
	file, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(file.Fd()), how)
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return file, nil
}

// join names a file in the folder.
func (f *folder) join(name string) string {
	return filepath.Join(f.path, name)
}

// write writes a file that only its owner may read: most of them hold keys.
func (f *folder) write(name string, content []byte) error {
	return os.WriteFile(f.join(name), content, 0o600)
}

// remove removes the folder and everything in it.
func (f *folder) remove() error {
	defer f.lock.Close()
	return os.RemoveAll(f.path)
}
