using System;
using System.Windows.Forms;

namespace Skinnybox.Windows
{
    /// <summary>Whether a certificate that nobody vouches for is the pool's. No is the default.</summary>
    internal static class CertificateQuestion
    {
        public static bool Ask(IWin32Window owner, Untrusted shown)
        {
            string first = shown.IsChanged
                ? "The certificate of " + shown.Authority + " is ANOTHER than the one you confirmed. "
                    + "Somebody may be between you and the pool, unless the pool was given a new one."
                : "Nobody vouches for the certificate of " + shown.Authority + ".";
            string text = string.Join(Environment.NewLine + Environment.NewLine, new[]
            {
                first,
                "SHA-256 " + Certificate.Pairs(shown.Fingerprint),
                "XenCenter's session is sent only to who you trust here. On the pool's master this shows the right fingerprint:",
                "openssl x509 -in /etc/xensource/xapi-ssl.pem -noout -fingerprint -sha256",
                "Is it the same? Yes is remembered for this address."
            });
            DialogResult answer = MessageBox.Show(
                owner,
                text,
                "Skinnybox: is this the pool?",
                MessageBoxButtons.YesNo,
                MessageBoxIcon.Warning,
                MessageBoxDefaultButton.Button2);
            return answer == DialogResult.Yes;
        }
    }
}
