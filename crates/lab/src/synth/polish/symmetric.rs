//! Symmetric matrices: eigenvalues and roots.

use ndarray::Array2;

/// Eigenvalues and, column by column, eigenvectors, by Jacobi's rotations (Golub and Van Loan, "Matrix Computations", 8.5).
pub fn eigen(matrix: &Array2<f64>) -> (Vec<f64>, Array2<f64>) {
    let size = matrix.nrows();
    let (mut rest, mut vectors) = (matrix.clone(), Array2::eye(size));
    for _ in 0..SWEEPS_MAX {
        let off: f64 = (0..size)
            .flat_map(|row| (0..row).map(move |column| (row, column)))
            .map(|at| rest[at] * rest[at])
            .sum();
        if off < 1e-22 {
            break;
        }
        for row in 0..size {
            for column in 0..row {
                rotate(&mut rest, &mut vectors, column, row);
            }
        }
    }
    (rest.diag().to_vec(), vectors)
}

const SWEEPS_MAX: usize = 60;

/// Turns the plane of two coordinates such that their product vanishes.
fn rotate(matrix: &mut Array2<f64>, vectors: &mut Array2<f64>, p: usize, q: usize) {
    if matrix[[p, q]].abs() < 1e-300 {
        return;
    }
    let theta = (matrix[[q, q]] - matrix[[p, p]]) / (2.0 * matrix[[p, q]]);
    let tangent = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let tangent = if theta == 0.0 { 1.0 } else { tangent };
    let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
    let sine = tangent * cosine;
    for k in 0..matrix.nrows() {
        let (a, b) = (matrix[[k, p]], matrix[[k, q]]);
        (matrix[[k, p]], matrix[[k, q]]) = (cosine * a - sine * b, sine * a + cosine * b);
    }
    for k in 0..matrix.nrows() {
        let (a, b) = (matrix[[p, k]], matrix[[q, k]]);
        (matrix[[p, k]], matrix[[q, k]]) = (cosine * a - sine * b, sine * a + cosine * b);
        let (a, b) = (vectors[[k, p]], vectors[[k, q]]);
        (vectors[[k, p]], vectors[[k, q]]) = (cosine * a - sine * b, sine * a + cosine * b);
    }
}

/// The matrix to a power; eigenvalues below a small positive number count as that.
pub fn power(matrix: &Array2<f64>, exponent: f64) -> Array2<f64> {
    let (values, vectors) = eigen(matrix);
    let mut scaled = vectors.clone();
    for (mut column, value) in scaled.columns_mut().into_iter().zip(values) {
        column *= value.max(1e-9).powf(exponent);
    }
    scaled.dot(&vectors.t())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_times_itself_is_the_matrix() {
        let matrix = ndarray::array![[2.0, 0.5, 0.1], [0.5, 1.0, -0.3], [0.1, -0.3, 0.7]];
        let root = power(&matrix, 0.5);
        let back = root.dot(&root);
        assert!((&back - &matrix).iter().all(|off| off.abs() < 1e-10), "{back}");
        let one = power(&matrix, -0.5).dot(&root);
        assert!((&one - &Array2::<f64>::eye(3)).iter().all(|off| off.abs() < 1e-10), "{one}");
    }
}
