using System;
using System.Collections.Generic;
using System.IO;
using System.Net;
using System.Text;

namespace Skinnybox
{
    /// <summary>The pool gave no answer: it may have heard the call, or not.</summary>
    internal sealed class NoAnswer : Exception
    {
        public NoAnswer(string message)
            : base(message)
        {
        }
    }

    /// <summary>The pool refused a call: its code and parameters, as in Xen's API.</summary>
    internal sealed class Refused : Exception
    {
        public readonly IList<string> Details;

        public Refused(IList<string> details)
            : base(string.Join(", ", details))
        {
            Details = details;
        }

        public string Code
        {
            get { return Details[0]; }
        }
    }

    /// <summary>Calls at URL/jsonrpc (2.0), each on a connection of its own, whose certificate is checked first.</summary>
    internal sealed class JsonRpc
    {
        private const int Most = 256 << 20;
        private readonly Uri url;
        private readonly Certificate certificate;

        static JsonRpc()
        {
            // pools speak 1.2; without this, what is chosen depends on the registry
            ServicePointManager.SecurityProtocol = SecurityProtocolType.Tls12;
            ServicePointManager.Expect100Continue = false;
        }

        public JsonRpc(Uri pool, Certificate certificate)
        {
            url = new Uri(pool, "/jsonrpc");
            this.certificate = certificate;
        }

        /// <summary>
        /// The result. It is never sent twice: a batch must not begin twice. Throws Refused, NoAnswer, Untrusted, and
        /// Trouble for an answer that is none.
        /// </summary>
        public object Call(string method, int seconds, params object[] parameters)
        {
            byte[] body = Encoding.UTF8.GetBytes(JsonWriter.Write(new Dictionary<string, object>
            {
                { "jsonrpc", "2.0" }, { "id", 1 }, { "method", method }, { "params", parameters }
            }));
            bool refusedCertificate = false;
            try
            {
                HttpWebRequest request = Request(seconds, body.Length);
                request.ServerCertificateValidationCallback = (sender, shown, chain, errors) =>
                {
                    bool trusted = certificate.IsTrusted(Pool.Address(url), shown, errors);
                    refusedCertificate |= !trusted;
                    return trusted;
                };
                using (Stream stream = request.GetRequestStream())
                {
                    stream.Write(body, 0, body.Length);
                }
                using (WebResponse response = request.GetResponse())
                {
                    return Result(ReadAll(response));
                }
            }
            catch (Exception error)
            {
                if (!(error is WebException || error is IOException || error is ObjectDisposedException))
                {
                    throw;
                }
                if (refusedCertificate && !string.IsNullOrEmpty(certificate.Refused))
                {
                    throw new Untrusted(Pool.Address(url), certificate.Refused, certificate.IsChanged);
                }
                throw new NoAnswer(Printable.Line(error.Message));
            }
        }

        private HttpWebRequest Request(int seconds, int length)
        {
            var request = (HttpWebRequest)WebRequest.Create(url);
            request.Method = "POST";
            request.ContentType = "application/json";
            request.ContentLength = length;
            request.Timeout = seconds * 1000;
            request.ReadWriteTimeout = seconds * 1000;
            // what stays open is sent again by .NET when it turns out to be cut; and the session goes nowhere else
            request.KeepAlive = false;
            request.AllowAutoRedirect = false;
            return request;
        }

        private static string ReadAll(WebResponse response)
        {
            using (Stream stream = response.GetResponseStream())
            using (var read = new MemoryStream())
            {
                var piece = new byte[1 << 16];
                for (int got = stream.Read(piece, 0, piece.Length); got > 0; got = stream.Read(piece, 0, piece.Length))
                {
                    read.Write(piece, 0, got);
                    if (read.Length > Most)
                    {
                        throw Json.Unreadable("less than 256 MiB");
                    }
                }
                return Encoding.UTF8.GetString(read.GetBuffer(), 0, (int)read.Length);
            }
        }

        private static object Result(string text)
        {
            var answer = new Record(JsonReader.Read(text));
            if (!answer.Has("error"))
            {
                return answer.Value("result");
            }
            Record error = answer.Object("error");
            var details = new List<string> { error.Text("message") };
            if (error.Has("data"))
            {
                foreach (object each in error.List("data"))
                {
                    details.Add(Json.Text(each));
                }
            }
            throw new Refused(details);
        }
    }
}
