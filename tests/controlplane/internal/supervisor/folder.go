package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lockName is the file in a cluster's folder that its supervisor keeps locked. A
// folder without this file is never removed.
const lockName = "supervisor.lock"

// folder holds all files of one cluster: keys, data and logs. It exists as long as
// its supervisor.
type folder struct {
	path string
	lock *os.File
}

// newFolder creates a folder in parent. It also removes folders of supervisors that
// were killed before they could clean up.
func newFolder(parent string) (*folder, error) {
	parent, err := filepath.Abs(parent)
	if err != nil {
		return nil, err
	}
	// Held until the new folder has its lock. Otherwise, a supervisor that starts at
	// the same time could remove it as stale.
	guard, err := lock(parent, os.O_RDONLY, syscall.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer guard.Close()

	removeStale(parent)
	path, err := os.MkdirTemp(parent, "cluster-")
	if err != nil {
		return nil, fmt.Errorf("create a folder in %s: %w", parent, err)
	}
	held, err := lock(filepath.Join(path, lockName), os.O_CREATE|os.O_RDWR, syscall.LOCK_EX)
	if err != nil {
		_ = os.RemoveAll(path)
		return nil, err
	}
	return &folder{path: path, lock: held}, nil
}

// removeStale removes folders of dead supervisors, whose locks the kernel released.
// It ignores errors: the owner of parent can remove the rest.
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

// lock opens a file or folder and locks it with flock. The lock is released when this
// process exits. Children do not inherit it, because Go opens files close-on-exec.
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

// join returns the path of a file in the folder.
func (f *folder) join(name string) string {
	return filepath.Join(f.path, name)
}

// write writes a file that only its owner can read, because most files hold keys.
func (f *folder) write(name string, content []byte) error {
	return os.WriteFile(f.join(name), content, 0o600)
}

// remove removes the folder and its contents.
func (f *folder) remove() error {
	defer f.lock.Close()
	return os.RemoveAll(f.path)
}
